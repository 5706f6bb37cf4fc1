// Command dkv runs and uses a distributed key-value store: a node, a whole
// cluster on one machine, and tools that call a cluster and measure it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"dkv/internal/version"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit codes, as listed by dkv --help.
const (
	exitError    = 1 // invalid usage, or the command failed
	exitNotFound = 2 // the key is absent
	exitFailed   = 3 // the condition did not hold
	exitRefused  = 4 // certainly not applied; also if no server could be reached
	exitUnknown  = 5 // it may have been applied, or may still be

	exitDegraded    = 6 // dkv status: all keys are served, and a further failure may stop some
	exitUnavailable = 7 // dkv status: some keys are not served
)

// exitCode is an error whose text has already been printed.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // a second signal ends the process at once
	}()
	os.Exit(execRoot(ctx, newRoot(), os.Args[1:]))
}

// execRoot executes a command line and returns the exit code.
func execRoot(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	fmt.Fprintln(root.ErrOrStderr(), "dkv:", err)
	return exitError
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "dkv",
		Short: "A distributed, linearizable key-value store",
		Long: `dkv is a distributed key-value store: every node serves every key over HTTP, each
key is replicated to three nodes, and reads always see the latest write.

  dkv local                 start a cluster of five nodes on this machine
  dkv put hello world       write a key
  dkv get hello             read it
  dkv status                show how the cluster is, and what helps
  dkv member list           show members, and nodes that wait to become one

Every flag can also be set by an environment variable: --session-timeout by
DKV_SESSION_TIMEOUT, and so on. The command line takes precedence.

Exit codes:
  0  done
  1  invalid usage, or the command failed
  2  no such key
  3  the condition did not hold
  4  refused: certainly not applied; also if no server could be reached
  5  unknown: a write may have been applied, or may still be
  6  dkv status: the cluster is degraded: a further failure may stop some keys
  7  dkv status: some keys are not served`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return setFromEnvironment(cmd.Flags(), os.LookupEnv)
		},
	}
	root.Version = version.Read().Text("dkv")
	root.SetVersionTemplate("{{.Version}}")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newNodeCommand(), newLocalCommand(), newZKCommand(), newStatusCommand(), newMemberCommand(), newClusterCommand(), newBenchCommand(), newVersionCommand())
	root.AddCommand(newClientCommands()...)
	for _, cmd := range root.Commands() {
		nameEnvironment(cmd.Flags())
		for _, sub := range cmd.Commands() {
			nameEnvironment(sub.Flags())
		}
	}
	return root
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit, and the versions of the protocol and the store",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), cmd.Root().Version)
			return err
		},
	}
}

func environmentName(flag string) string {
	return "DKV_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// nameEnvironment appends to each flag's usage the variable that sets it.
func nameEnvironment(flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		f.Usage += " [" + environmentName(f.Name) + "]"
	})
}

// setFromEnvironment sets the flags that the command line did not set.
func setFromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		text, ok := lookup(environmentName(f.Name))
		if f.Changed || !ok || f.Name == "help" || failed != nil {
			return
		}
		if err := flags.Set(f.Name, text); err != nil {
			failed = fmt.Errorf("environment %s=%q: %w", environmentName(f.Name), text, err)
		}
	})
	return failed
}
