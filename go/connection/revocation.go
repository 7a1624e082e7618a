package connection

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// checkRevocation applies sslcrl and sslcrldir. As in OpenSSL, each certificate of the server's chain needs a list
// of its issuer's that is in force and does not have it. The files are read for each connection, since lists are
// replaced often. Python has checked that sslmode verifies certificates.
func (s *Settings) checkRevocation(pc *pgconn.Config) {
	if s.ConnInfo["sslcrl"] == "" && s.ConnInfo["sslcrldir"] == "" {
		return
	}
	check := func(t *tls.Config) {
		if t != nil {
			t.VerifyConnection = func(state tls.ConnectionState) error {
				lists, err := s.revocationLists()
				if err != nil {
					return err
				}
				return unrevoked(state.PeerCertificates, t.RootCAs, lists)
			}
		}
	}
	check(pc.TLSConfig)
	for _, f := range pc.Fallbacks {
		check(f.TLSConfig)
	}
}

func (s *Settings) revocationLists() ([]*x509.RevocationList, error) {
	var files []string
	if file := s.ConnInfo["sslcrl"]; file != "" {
		files = append(files, file)
	}
	if directory := s.ConnInfo["sslcrldir"]; directory != "" {
		entries, err := os.ReadDir(directory)
		if err != nil {
			return nil, fmt.Errorf("sslcrldir cannot be read: %w", err)
		}
		for _, e := range entries {
			if !e.IsDir() {
				files = append(files, filepath.Join(directory, e.Name()))
			}
		}
	}
	var lists []*x509.RevocationList
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("a certificate revocation list cannot be read: %w", err)
		}
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			if block.Type != "X509 CRL" {
				continue
			}
			list, err := x509.ParseRevocationList(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("%s has no readable certificate revocation list: %w", file, err)
			}
			lists = append(lists, list)
		}
	}
	if len(lists) == 0 {
		return nil, errors.New("sslcrl and sslcrldir have no certificate revocation list")
	}
	return lists, nil
}

// unrevoked checks a server's certificates, which the handshake has verified, against the lists.
func unrevoked(certificates []*x509.Certificate, roots *x509.CertPool, lists []*x509.RevocationList) error {
	between := x509.NewCertPool()
	for _, c := range certificates[1:] {
		between.AddCert(c)
	}
	chains, err := certificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	if err != nil {
		return err
	}
	for _, chain := range chains {
		if err = unrevokedChain(chain, lists); err == nil {
			return nil
		}
	}
	return err
}

func unrevokedChain(chain []*x509.Certificate, lists []*x509.RevocationList) error {
	for i, c := range chain {
		issuer := chain[min(i+1, len(chain)-1)] // the last one is its own
		known := false
		for _, list := range lists {
			if !bytes.Equal(list.RawIssuer, c.RawIssuer) || list.CheckSignatureFrom(issuer) != nil {
				continue
			}
			now := time.Now()
			if now.Before(list.ThisUpdate) || !list.NextUpdate.IsZero() && now.After(list.NextUpdate) {
				continue
			}
			known = true
			for _, entry := range list.RevokedCertificateEntries {
				if entry.SerialNumber.Cmp(c.SerialNumber) == 0 {
					return fmt.Errorf("the certificate of %q was revoked", c.Subject.CommonName)
				}
			}
		}
		if !known {
			return fmt.Errorf("no certificate revocation list of %q is in force", c.Issuer.CommonName)
		}
	}
	return nil
}
