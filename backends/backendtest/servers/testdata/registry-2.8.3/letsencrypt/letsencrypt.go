// Package letsencrypt has what Distribution 2.8 compiles against, and does
// nothing: the real one is gone with the protocol's first version, and no test
// asks for certificates.
package letsencrypt

import (
	"crypto/tls"
	"errors"
)

var errAbsent = errors.New("this build has no ACME")

// Manager refuses everything.
type Manager struct{}

// CacheFile refuses to keep state.
func (*Manager) CacheFile(string) error { return errAbsent }

// Registered says no.
func (*Manager) Registered() bool { return false }

// Register refuses an account.
func (*Manager) Register(string, func(string) bool) error { return errAbsent }

// SetHosts does nothing.
func (*Manager) SetHosts([]string) {}

// GetCertificate has none.
func (*Manager) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return nil, errAbsent
}
