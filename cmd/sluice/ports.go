package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
)

// portTaken says why nobody can listen at the address of a setting or flag, and what to do.
func portTaken(setting string, err error, otherwise string) error {
	var op *net.OpError
	at := ""
	if errors.As(err, &op) && op.Addr != nil {
		at = op.Addr.String()
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return advise(fmt.Errorf("%s: %s is in use by another process", setting, at), "stop it, if it is a sluice that was forgotten, or %s", otherwise)
	case errors.Is(err, fs.ErrPermission):
		return advise(fmt.Errorf("%s: %s is not for this user: ports below 1024 need a privilege", setting, at),
			"%s, or give the process CAP_NET_BIND_SERVICE", otherwise)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return advise(fmt.Errorf("%s: %s is no address of this machine", setting, at), "%s", otherwise)
	}
	return advise(fmt.Errorf("%s: %w", setting, err), "%s", otherwise)
}
