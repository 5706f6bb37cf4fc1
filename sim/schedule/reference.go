package schedule

import (
	"fmt"
	"strings"
)

// Reference describes the language: every line of the header with its default, and
// every action.
func Reference() string {
	var b strings.Builder
	b.WriteString("The header, with the default of each value:\n\n")
	calm := Schedule{Setup: DefaultSetup()}
	for line := range strings.Lines(calm.String()) {
		b.WriteString("  " + line)
	}
	b.WriteString("\nThe steps. TIME is the time since the run began, such as 2.5s. A fault that lasts ends after \"for TIME\", or with the phase:\n\n")
	for _, family := range []Family{FamilyProcess, FamilyDisk, FamilyNetwork, FamilyZooKeeper, FamilyAdministrator, FamilyClient} {
		for _, a := range actions {
			if a.Family == family {
				fmt.Fprintf(&b, "  %-46s %s\n", "at TIME "+a.usage(), a.Does)
			}
		}
	}
	b.WriteString("\nNODE is n1, n2, …, or the node that has this role for partition P when the step happens:\n\n")
	for role := Primary; role < roles; role++ {
		fmt.Fprintf(&b, "  %-11s %s\n", roleForms[role].prefix+"P", roleForms[role].what)
	}
	b.WriteString("\n\"after TIME\" delays a step. \"once TRIGGER:P\" makes it wait for an event in partition P:\n\n")
	for t := AtOnce + 1; t < triggers; t++ {
		fmt.Fprintf(&b, "  %-11s %s\n", t, triggerForms[t].what)
	}
	b.WriteString("\nWith \"workload calls=listed\" the clients make exactly the calls that the schedule lists:\n\n")
	for _, line := range []string{"get KEY at nN", "put KEY [if-absent|if-match] at nN", "delete KEY [if-match] at nN"} {
		b.WriteString("  at TIME client N " + line + "\n")
	}
	return b.String()
}
