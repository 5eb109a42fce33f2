package main

import "github.com/spf13/cobra"

func completionCmd() *cobra.Command {
	return &cobra.Command{
		Use:       "completion bash|zsh|fish|powershell",
		Short:     "Prints a script that completes commands in a shell",
		Example:   "  source <(peer completion bash)",
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return failure(root.GenBashCompletionV2(out, true))
			case "zsh":
				return failure(root.GenZshCompletion(out))
			case "fish":
				return failure(root.GenFishCompletion(out, true))
			}
			return failure(root.GenPowerShellCompletionWithDesc(out))
		},
	}
}
