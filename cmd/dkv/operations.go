package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"dkv/node/client"
)

const defaultServer = "127.0.0.1:8000"

// clientFlags are the flags of the commands that call a cluster.
type clientFlags struct {
	servers []string
	timeout time.Duration
}

func (f *clientFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.servers, "server", []string{defaultServer}, "nodes to ask as host:port, comma-separated")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 5*time.Second, "how long to wait for an answer")
}

// call runs fn with a client and a timeout, and turns an error of the client into
// an exit code.
func (f *clientFlags) call(cmd *cobra.Command, fn func(context.Context, *client.Client) error) error {
	c, err := client.New(f.servers...)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
	defer cancel()
	err = fn(ctx, c)
	var failed *client.Error
	if !errors.As(err, &failed) {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "dkv:", failed)
	if failed.Outcome == client.Unknown {
		return exitCode(exitUnknown)
	}
	return exitCode(exitRefused)
}

func newClientCommands() []*cobra.Command {
	return []*cobra.Command{newPutCommand(), newGetCommand(), newDeleteCommand()}
}

// conditionFlags are the flags that make a write conditional.
type conditionFlags struct {
	version uint64
	absent  bool
	present bool
}

func (f *conditionFlags) register(cmd *cobra.Command, absent bool) {
	cmd.Flags().Uint64Var(&f.version, "if-version", 0, "only if the key has this version")
	cmd.Flags().BoolVar(&f.present, "if-present", false, "only if the key exists")
	names := []string{"if-version", "if-present"}
	if absent {
		cmd.Flags().BoolVar(&f.absent, "if-absent", false, "only if the key does not exist")
		names = append(names, "if-absent")
	}
	cmd.MarkFlagsMutuallyExclusive(names...)
}

func (f *conditionFlags) conditions() []client.Condition {
	switch {
	case f.version != 0:
		return []client.Condition{client.IfVersion(f.version)}
	case f.present:
		return []client.Condition{client.IfPresent()}
	case f.absent:
		return []client.Condition{client.IfAbsent()}
	}
	return nil
}

func newPutCommand() *cobra.Command {
	var f clientFlags
	var conditions conditionFlags
	cmd := &cobra.Command{
		Use:     "put KEY VALUE",
		Short:   "Write a key and print its new version",
		Long:    "Write a key and print its new version. If VALUE is -, the value is read from\nstandard input.",
		Example: "  dkv put hello world\n  dkv put photo - < photo.jpg\n  dkv put counter 8 --if-version 41",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			value := []byte(args[1])
			if args[1] == "-" {
				var err error
				if value, err = io.ReadAll(io.LimitReader(cmd.InOrStdin(), client.MaxValueBytes+1)); err != nil {
					return fmt.Errorf("reading the value: %w", err)
				}
				if len(value) > client.MaxValueBytes {
					return fmt.Errorf("the value is larger than %d bytes", client.MaxValueBytes)
				}
			}
			return f.call(cmd, func(ctx context.Context, c *client.Client) error {
				answer, err := c.Put(ctx, []byte(args[0]), value, conditions.conditions()...)
				if err != nil {
					return err
				}
				if answer.Failed {
					return conditionFailed(cmd, answer)
				}
				fmt.Fprintln(cmd.OutOrStdout(), answer.Version)
				return nil
			})
		},
	}
	f.register(cmd)
	conditions.register(cmd, true)
	return cmd
}

func newGetCommand() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use:   "get KEY",
		Short: "Read a key and print its value",
		Long:  "Read a key and print its value exactly as stored: no newline is added.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.call(cmd, func(ctx context.Context, c *client.Client) error {
				answer, err := c.Get(ctx, []byte(args[0]))
				if err != nil {
					return err
				}
				if !answer.Found {
					return notFound(cmd)
				}
				_, err = cmd.OutOrStdout().Write(answer.Value)
				return err
			})
		},
	}
	f.register(cmd)
	return cmd
}

func newDeleteCommand() *cobra.Command {
	var f clientFlags
	var conditions conditionFlags
	cmd := &cobra.Command{
		Use:   "delete KEY",
		Short: "Delete a key and print the version it had",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.call(cmd, func(ctx context.Context, c *client.Client) error {
				answer, err := c.Delete(ctx, []byte(args[0]), conditions.conditions()...)
				switch {
				case err != nil:
					return err
				case answer.Failed:
					return conditionFailed(cmd, answer)
				case !answer.Found:
					return notFound(cmd)
				}
				fmt.Fprintln(cmd.OutOrStdout(), answer.Version)
				return nil
			})
		},
	}
	f.register(cmd)
	conditions.register(cmd, false)
	return cmd
}

func notFound(cmd *cobra.Command) error {
	fmt.Fprintln(cmd.ErrOrStderr(), "dkv: no such key")
	return exitCode(exitNotFound)
}

func conditionFailed(cmd *cobra.Command, a client.Answer) error {
	if a.Found {
		fmt.Fprintf(cmd.ErrOrStderr(), "dkv: the condition did not hold: the key has version %d\n", a.Version)
	} else {
		fmt.Fprintln(cmd.ErrOrStderr(), "dkv: the condition did not hold: no such key")
	}
	return exitCode(exitFailed)
}
