package config

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
)

// tlsFiles are the paths of the files for TLS, "" for none.
type tlsFiles struct{ ca, cert, key string }

func (r Redis) tlsFiles() tlsFiles { return tlsFiles{r.CAFile, r.CertFile, r.KeyFile} }

// apply reads the files into a client's configuration. It reads them for each connection, so the next
// connection uses a renewed certificate.
func (f tlsFiles) apply(c *tls.Config) error {
	if f.ca != "" {
		content, err := os.ReadFile(f.ca)
		if err != nil {
			return &fileError{keyCAFile + " cannot be read", err}
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(content) {
			return &fileError{keyCAFile, fmt.Errorf("%s holds no certificate in PEM form", f.ca)}
		}
	}
	if f.cert == "" && f.key == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	var missing *fs.PathError
	switch {
	case errors.As(err, &missing) && missing.Path == f.key:
		return &fileError{keyKeyFile + " cannot be read", err}
	case errors.As(err, &missing):
		return &fileError{keyCertFile + " cannot be read", err}
	case err != nil:
		return &fileError{fmt.Sprintf("%s (%s) and %s (%s) are no certificate and its private key", keyCertFile, f.cert, keyKeyFile, f.key), err}
	}
	c.Certificates = []tls.Certificate{pair}
	return nil
}

// secure makes a TLS connection over plain. If it fails, it closes plain.
func (s *server) secure(ctx context.Context, plain net.Conn, addr string, config *tls.Config) (net.Conn, error) {
	config = config.Clone()
	config.ServerName = s.serverName(addr)
	err := s.files.apply(config)
	secure := tls.Client(plain, config)
	if err == nil {
		if err = secure.HandshakeContext(ctx); err == nil {
			return secure, nil
		}
		err = &handshakeError{err}
	}
	_ = plain.Close()
	return nil, err
}

// checkFiles reports what is wrong with the files, before anything connects.
func (s *server) checkFiles() error {
	if !s.isTLS() && !s.sentinelTLS {
		return nil
	}
	return s.files.apply(&tls.Config{MinVersion: tls.VersionTLS12})
}

// fileError is about a file of tlsFiles.
type fileError struct {
	what  string
	cause error
}

func (e *fileError) Error() string { return e.what + ": " + e.cause.Error() }
func (e *fileError) Unwrap() error { return e.cause }

// authorityHint is for a server whose certificate is not trusted.
func (s *server) authorityHint(err error) string {
	var unknown x509.UnknownAuthorityError
	switch {
	case !errors.As(err, &unknown):
		return ""
	case s.files.ca == "":
		return "; set REDIS_CA_FILE to the certificate of its authority"
	default:
		return "; it is not that of REDIS_CA_FILE"
	}
}
