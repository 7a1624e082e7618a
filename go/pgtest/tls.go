package pgtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"time"
)

// NewTLSProxy is a proxy that speaks TLS with the client and plain text with the server, so that
// rules work under TLS too. Its certificate is signed by itself.
func NewTLSProxy(t testing.TB) *Proxy {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return newProxy(t, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
}

// terminateTLS answers the request for TLS that a client starts with.
func (p *Proxy) terminateTLS(client net.Conn) (net.Conn, error) {
	request := make([]byte, 8)
	if _, err := io.ReadFull(client, request); err != nil {
		return client, err
	}
	if startupKind(request) != KindTLS {
		return client, errors.New("the client does not ask for TLS")
	}
	_, err := client.Write([]byte{'S'})
	return tls.Server(client, p.tls), err
}
