//go:build !linux

package pgtest

import (
	"errors"
	"syscall"
)

// dieWithParent: there is no such thing here. A server whose test was killed has to be ended by hand.
func dieWithParent(*syscall.SysProcAttr) {}

// memoryFolder: the temporary folder is as good.
func memoryFolder() string { return "" }

func children(int) ([]int, error) { return nil, errors.New("freezing a server needs Linux") }
