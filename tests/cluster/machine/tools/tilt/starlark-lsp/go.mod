module github.com/tilt-dev/starlark-lsp

go 1.24.0

require (
	github.com/spf13/cobra v1.10.2
	go.lsp.dev/uri v0.3.0
	go.uber.org/zap v1.27.0
)
