package redisconn

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	ping      = "*1\r\n$4\r\nPING\r\n"
	subscribe = "*3\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n$1\r\nb\r\n"
	confirmA  = ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
	confirmB  = ">3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"
	message   = ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n"
	unsub     = "*2\r\n$11\r\nUNSUBSCRIBE\r\n$1\r\na\r\n"
	unsubbed  = ">3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n"
	hello     = "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n"
	resp3     = "%1\r\n$5\r\nproto\r\n:3\r\n"
)

// script is a connection that brings one text, in pieces or not, and takes all.
type script struct {
	net.Conn
	io.Reader
}

func (s script) Read(b []byte) (int, error)  { return s.Reader.Read(b) }
func (s script) Write(b []byte) (int, error) { return len(b), nil }

// talk writes the commands, reads what comes to its end, and returns what the client would
// have got.
func talk(t *testing.T, age time.Duration, commands, replies string) (got string, err error) {
	t.Helper()
	for _, pieces := range []func(io.Reader) io.Reader{
		func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader,
	} {
		conn := Wrap(context.Background(), script{Reader: pieces(strings.NewReader(replies))}).(*guarded)
		conn.born = time.Now().Add(-age)
		conn.resp3 = strings.HasPrefix(replies, resp3) // the client sends nothing else before that reply
		for i := range commands {                      // a command may come in pieces, too
			_, err := conn.Write([]byte(commands[i : i+1]))
			require.NoError(t, err)
		}
		var out bytes.Buffer
		_, err = io.Copy(&out, conn)
		got = out.String()
		if err != nil {
			_, again := conn.Read(make([]byte, 1))
			require.Equal(t, err, again, "it stays ended")
		}
	}
	return got, err
}

func TestMessagesThatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		commands, replies string
		bad               string // comes after the replies
	}{
		"before the first command": {"", "", "+OK\r\n"},
		"one more":                 {ping + ping, "+PONG\r\n$4\r\nPONG\r\n", "+PONG\r\n"},
		"after values of all kinds": {
			strings.Repeat(ping, 14),
			"+s\r\n-E e\r\n:1\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n_\r\n#t\r\n,1.5\r\n(12\r\n!3\r\nE e\r\n=5\r\ntxt:a\r\n|1\r\n+k\r\n+v\r\n*2\r\n%1\r\n+k\r\n~1\r\n:1\r\n*1\r\n_\r\n",
			":1\r\n",
		},
		"a string that looks like messages": {ping, "$16\r\n+OK\r\n*1\r\n:1\r\nxyz\r\n", "+OK\r\n"},
		"after pushes":                      {ping, ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n+PONG\r\n>1\r\n+x\r\n", "+OK\r\n"},
		"a confirmation":                    {hello + ping, resp3, confirmA},
		"another confirmation":              {hello + subscribe, resp3 + confirmA + message + confirmB + message, confirmA},
		"after a subscription":              {hello + subscribe + ping, resp3 + confirmA + confirmB + "+PONG\r\n", "+OK\r\n"},
		"after the end of one":              {hello + subscribe + unsub + ping, resp3 + confirmA + confirmB + unsubbed + "+PONG\r\n", "+OK\r\n"},
		"after a slot has moved":            {hello + ping, resp3 + ">3\r\n$12\r\nsunsubscribe\r\n$1\r\na\r\n:0\r\n+PONG\r\n", "+OK\r\n"},
		"a type that is none":               {ping + ping, "+PONG\r\n", "HTTP/1.1 400\r\n"},
		"a length that is none":             {ping + ping, "+PONG\r\n", "$five\r\n"},
		"a negative length":                 {ping + ping, "+PONG\r\n", "*-2\r\n"},
		"a negative map":                    {ping + ping, "+PONG\r\n", "%-1\r\n"},
		"too long a string":                 {ping + ping, "+PONG\r\n", "$536870913\r\n"},
		"too many values":                   {ping + ping, "+PONG\r\n", "*16777217\r\n"},
		"too many in all":                   {ping + ping, "+PONG\r\n", "*16777216\r\n*16777216\r\n"},
		"a line without a length":           {ping + ping, "+PONG\r\n", "$\n"},
		"half a truth value":                {ping + ping, "+PONG\r\n", "#\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := talk(t, time.Hour, test.commands, test.replies)
			require.NoError(t, err)
			require.Equal(t, test.replies, got)
			got, err = talk(t, time.Hour, test.commands, test.replies+test.bad)
			require.ErrorIs(t, err, ErrProtocol)
			assert.True(t, strings.HasPrefix(got, test.replies))
			assert.Less(t, len(got), len(test.replies+test.bad), "the client must not get the whole of it")
		})
	}
}

// Without RESP3 the messages of a subscription come as replies do.
func TestSubscriptionsOfRESP2AreNotCounted(t *testing.T) {
	t.Parallel()
	replies := "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n" + strings.Repeat("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n", 3)
	got, err := talk(t, time.Hour, subscribe, replies)
	require.NoError(t, err)
	assert.Equal(t, replies, got)
}

func TestConnectionToTheWrongServerEnds(t *testing.T) {
	t.Parallel()
	const pong = "+PONG\r\n"
	for name, test := range map[string]struct {
		age     time.Duration
		replies string // to three commands
		word    string // "" if it does not end
	}{
		"a replica":                {time.Second, "-READONLY You can't write against a read only replica.\r\n", "READONLY"},
		"within an array":          {time.Second, "*3\r\n:1\r\n:-1\r\n-READONLY You can't write\r\n", "READONLY"},
		"one without its master":   {time.Second, "-MASTERDOWN Link with MASTER is down\r\n", "MASTERDOWN"},
		"one that loads":           {time.Second, "-LOADING Redis is loading\r\n", "LOADING"},
		"a fenced master":          {time.Second, "-NOREPLICAS Not enough good replicas to write.\r\n", "NOREPLICAS"},
		"no right":                 {time.Second, pong + pong + "-NOPERM this user\r\n", "NOPERM"},
		"in a script":              {time.Second, "*1\r\n-ERR The user executing the script can't run this command or subcommand\r\n", "NOPERM"},
		"in a newer one":           {time.Second, "*1\r\n-ERR ACL failure in script: User u has no permissions\r\n", "NOPERM"},
		"no right, but for others": {time.Second, ":1\r\n-NOPERM this user\r\n", ""},
		"a young connection":       {time.Second / 2, "-READONLY You can't\r\n", ""},
		"data":                     {time.Second, "$17\r\nREADONLY You can'\r\n*1\r\n$9\r\nREADONLY \r\n+READONLY You\r\n", ""},
		"another error":            {time.Second, "-OOM command not allowed\r\n-READONLYX\r\n-ERR READONLY \r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := talk(t, test.age, ping+ping+ping, test.replies)
			assert.Equal(t, test.replies, got, "the replies reach their callers")
			if test.word == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, ErrWrongServer)
			assert.ErrorContains(t, err, test.word)
		})
	}
}

// However a stream is cut into pieces, it is the same messages.
func FuzzPieces(f *testing.F) {
	for _, stream := range []string{resp3, confirmA, "*2\r\n:1\r\n$3\r\nabc\r\n", "-READONLY You can't\r\n", "|1\r\n+k\r\n+v\r\n_\r\n", "+" + strings.Repeat("x", 100) + "\r\n"} {
		f.Add([]byte(stream), uint8(3))
	}
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		parse := func(size int) (kinds string, words []string, err error) {
			var p parser
			for rest := stream; len(rest) > 0 && err == nil; {
				piece := rest[:min(size, len(rest))]
				for len(piece) > 0 && err == nil {
					var n int
					var ended bool
					n, ended, err = p.next(piece)
					piece, rest = piece[n:], rest[n:]
					if ended {
						kinds += string(p.kind)
						words = append(words, string(p.word), p.refusal)
					}
				}
				assert.LessOrEqual(t, len(p.line)+len(p.word), 256)
			}
			return kinds, words, err
		}
		kinds, words, err := parse(len(stream) + 1)
		kindsInPieces, wordsInPieces, errInPieces := parse(1 + int(size))
		assert.Equal(t, kinds, kindsInPieces)
		assert.Equal(t, words, wordsInPieces)
		assert.Equal(t, errors.Is(err, ErrProtocol), errors.Is(errInPieces, ErrProtocol))
	})
}

func BenchmarkRead(b *testing.B) {
	const calls = 64
	reply := "*" + "193" + "\r\n:1700000000000000\r\n" + strings.Repeat(":1\r\n:99\r\n:60000000\r\n", calls)
	command := "*5\r\n$7\r\nEVALSHA\r\n$40\r\n" + strings.Repeat("a", 40) + "\r\n$1\r\n1\r\n$18\r\nrl:{198.51.100.77}\r\n$1\r\n1\r\n"
	buffer := make([]byte, 1<<16)
	reader := strings.NewReader(reply)
	conn := Wrap(context.Background(), script{Reader: reader})
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(reply)
		_, _ = conn.Write([]byte(command))
		if _, err := conn.Read(buffer); err != nil {
			b.Fatal(err)
		}
	}
}
