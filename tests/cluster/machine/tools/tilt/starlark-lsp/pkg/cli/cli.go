// Package cli stands in for the language server that editors start by `tilt lsp`. The real one
// parses by a library written in C, which would make all of Tilt need a C compiler.
package cli

import (
	"io/fs"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/tilt-dev/starlark-lsp/pkg/document"
)

// RootCmd is the command `tilt lsp`.
type RootCmd struct {
	*cobra.Command
}

// NewRootCmd gives a command that does nothing but print its help.
func NewRootCmd(name string, _ func() fs.FS, _ ...document.ManagerOpt) *RootCmd {
	return &RootCmd{&cobra.Command{Use: name, Short: "Left out of this build"}}
}

// NewLogger gives a logger that says nothing.
func NewLogger() (*zap.Logger, func()) { return zap.NewNop(), func() {} }
