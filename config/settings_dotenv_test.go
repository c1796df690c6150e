package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/joho/godotenv"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// agreed is what a .env file may have that joho/godotenv reads as we do.
const agreed = `# a comment
PLAIN=a b c   
SPACED = x
export EXPORTED=1
YAML: x
EMPTY=
HASH=a#b
COMMENT=a # b
QUOTES=a"b'c
BACKSLASH=C:\dir
SINGLE='a $X ${Y} \n "b" # c' # d
DOUBLE="a \n \$X \\n \"b\" # c" # d
LINES='a
b'
FILE=${PLAIN}-${HASH}x
AFTER=y
UTF8=é日本
EQUALS==a=b=
URL=redis://:p%24@h:6379/0?db=1
lower.case=1
`

func TestDotEnvMeansWhatGodotenvSays(t *testing.T) {
	t.Parallel()
	for _, text := range []string{agreed, strings.ReplaceAll(agreed, "\n", "\r\n"), strings.TrimSuffix(agreed, "\n"), "\n\n" + agreed} {
		want, err := godotenv.Unmarshal(text)
		require.NoError(t, err)
		file, faultyLine := readDotEnv(text, nil)
		require.Zero(t, faultyLine)
		assert.Empty(t, file.faults)
		for name, value := range want {
			// The library makes a line end of any, in a value as well.
			assert.Equal(t, value, strings.ReplaceAll(file.values[name], "\r\n", "\n"), name)
		}
		assert.Len(t, file.values, len(want))
	}
}

// What godotenv, the library of most Go programs, makes other bytes of without a word.
func TestDotEnvBeyondGodotenv(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`A="\"x\""`:                  `"x"`,
		`A="x\\"` + "\nB=\"y\"":      `x\`,
		"X=v\n" + `A="\\$X"`:         `\v`,
		"A=x #y #z":                  "x",
		"A= # c":                     "",
		"X=v\nA=$X$X.${X}X":          "vv.vX",
		"x=v\nA=$x":                  "v",
		"A=$HOME_OF":                 "/root",
		"HOME_OF=file\nA=${HOME_OF}": "file",
		"HOME_OF=\nA=$HOME_OF":       "/root",
		"A=1\nA=2":                   "2",
		"A='$X'":                     "$X",
		"A=\ta\t":                    "a",
	} {
		file, faultyLine := readDotEnv(text, map[string]string{"HOME_OF": "/root", "EMPTY": ""})
		require.Zero(t, faultyLine, text)
		assert.Empty(t, file.faults, text)
		assert.Equal(t, want, file.values["A"], text)
	}
}

func TestDotEnvRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"\nLIMITS_API_MAX=1${ZEROS}":                        "test.env: line 2 has $ZEROS, which is set neither above it nor in the environment; allowed: a variable that has a value, or single quotes around a text with a $",
		"REDIS_URL=redis://$CACHE_HOST:6379":                "test.env: line 1 has $CACHE_HOST, which is set neither above it nor in the environment; allowed: a variable that has a value, or single quotes around a text with a $",
		"REDIS_URL=redis://:s3$cret@h":                      "test.env: line 1 has a $ before the name of a variable that is set neither above it nor in the environment; allowed: a variable that has a value, or single quotes around a text with a $",
		"CLIENT_KEY_SECRET=s3$cret":                         "test.env: line 1 has a $ before the name of a variable that is set neither above it nor in the environment; allowed: a variable that has a value, or single quotes around a text with a $",
		"HOST=$EMPTY":                                       "test.env: line 1 has $EMPTY, which is set neither above it nor in the environment; allowed: a variable that has a value, or single quotes around a text with a $",
		"HOST=$LATER\nLATER=1":                              "test.env: line 1 has $LATER, which is set neither above it nor in the environment; allowed: a variable that has a value, or single quotes around a text with a $",
		"# c\nWHERE=$(hostname)\n\nHOST=${WHERE}":           "test.env: line 2 " + oddDollar,
		"HOST=${WHERE:-h}":                                  "test.env: line 1 " + oddDollar,
		"CLIENT_KEY_SECRET=s3cret$":                         "test.env: line 1 " + oddDollar,
		"CLIENT_KEY_SECRET=s3$1cret":                        "test.env: line 1 " + oddDollar,
		"CLIENT_KEY_SECRET=s3$$cret":                        "test.env: line 1 " + oddDollar,
		`CLIENT_KEY_SECRET="s3\cret"`:                       "test.env: line 1 " + oddEscape,
		`CLIENT_KEY_SECRET="s3\tcret"`:                      "test.env: line 1 " + oddEscape,
		`CLIENT_KEY_SECRET='s3\'cret'`:                      "test.env: line 1 " + oddQuote,
		`CLIENT_KEY_SECRET=s3\$cret`:                        "test.env: line 1 " + oddPlain,
		"PORT=81\n\nMULTI='a\n\nb'\nPORT=82":                "test.env: line 6 sets PORT once more; allowed: once",
		"A='x\ny'\nCLIENT_KEY_SECRET='s3cret":               "test.env: line 3 is not of the form NAME=value",
		`CLIENT_KEY_SECRET="s3cret" x`:                      "test.env: line 1 is not of the form NAME=value",
		"redis://:s3cret@h":                                 "test.env: line 1 is not of the form NAME=value",
		"1A=s3cret":                                         "test.env: line 1 is not of the form NAME=value",
		"HOST=a\nREDIS_PREFIX=${HOST}\nREDIS_TIMEOUT=$NONE": "test.env: line 3 has $NONE, which is set neither above it nor in the environment; allowed: a variable that has a value, or single quotes around a text with a $",
	} {
		err := loadText(t, text, "REDIS_URL=", "EMPTY=")
		require.EqualError(t, err, want, text)
		assert.NotContains(t, err.Error(), "cret")
	}
	// What the environment overrides is not read, and what others have is theirs.
	for _, text := range []string{"REDIS_URL=redis://$NONE", "CMD=$(date)", `DIR="C:\dir"`, "A='it\\'s'", "A=${B:-c}", "A=$NONE", "A=1\nA=2"} {
		require.NoError(t, loadText(t, text, "REDIS_URL=memory://"), text)
	}
}

func loadText(t *testing.T, text string, environ ...string) error {
	t.Helper()
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("test.env", []byte(text), 0o600))
	_, err := Load(Sources{DotEnv: "test.env", Environ: environ})
	return err
}

// A .env file as it is shared with docker compose, with values for it and for us.
func TestDotEnvOfDockerCompose(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile(".env", []byte(strings.Join([]string{
		"COMPOSE_PROJECT_NAME=shop", "REDIS_HOST=redis", "REDIS_PORT=6379", "REDIS_PASSWORD='pa$$word'", "REDIS_VERSION=7.4-alpine",
		"LIMITS_CPUS=2", "LIMITS_MEMORY=512M", "LIMITS_API_CPUS=0.5", "RESPONSE_TIMEOUT=5s", "CLIENT_ID=shop", "TAG=${TAG:-latest}",
		"REDIS_URL=redis://${REDIS_HOST}:${REDIS_PORT}", "LIMITS_API_MAX=5", "LIMITS_API_WINDOW=1m", "",
	}, "\n")), 0o600))
	c, err := Load(Sources{DotEnv: ".env", Environ: []string{}})
	require.NoError(t, err)
	assert.Equal(t, "redis://redis:6379", c.Redis.URL.String())
	assert.Equal(t, "pa$$word", c.Redis.server().password)
	assert.Len(t, c.Limits, 1)
}

// FuzzDotEnv: a text in single quotes, or in double quotes with what is special escaped, is read
// byte by byte as it is, whatever is around it in the file. No text makes the reader fail in any
// other way than by naming a line that the file has.
func FuzzDotEnv(f *testing.F) {
	f.Add("a b", "A=1\n", "\nB=2")
	f.Add(`\$"`, "# c\n", "")
	f.Add("\n#", "A='x\ny'\n", " # c")
	f.Fuzz(func(t *testing.T, value, before, after string) {
		_, faultyLine := readDotEnv(before+value+after, nil)
		require.LessOrEqual(t, faultyLine, 1+strings.Count(before+value+after, "\n"))

		before += "\n"
		if _, faultyLine := readDotEnv(before, nil); faultyLine > 0 {
			return
		}
		quoted := map[string]string{"DOUBLE": `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "\n", `\n`, "\r", `\r`).Replace(value) + `"`}
		if !strings.ContainsAny(value, `'\`) {
			quoted["SINGLE"] = "'" + value + "'"
		}
		for name, text := range quoted {
			file, faultyLine := readDotEnv(before+name+"="+text+"\n", nil)
			require.Zero(t, faultyLine, "%q", before+name+"="+text)
			require.Empty(t, file.faults[name])
			require.Equal(t, value, file.values[name])
		}
	})
}

func TestDotEnvIsReadFromItsFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), ".env")
	require.NoError(t, os.WriteFile(path, []byte("REDIS_URL=redis://${CACHE_HOST}:6379"), 0o600))
	c, err := Load(Sources{DotEnv: path, Environ: []string{"CACHE_HOST=cache.internal"}})
	require.NoError(t, err)
	assert.Equal(t, "redis://cache.internal:6379", c.Redis.URL.String())
}
