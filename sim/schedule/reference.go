package schedule

import (
	"fmt"
	"strings"
)

// Reference says what a schedule's text may hold: every line of its header, as
// it is where a schedule has none, and every step.
func Reference() string {
	var b strings.Builder
	b.WriteString("The header, with what a line or a word that is missing means:\n\n")
	calm := Schedule{Setup: DefaultSetup()}
	for line := range strings.Lines(calm.String()) {
		b.WriteString("  " + line)
	}
	b.WriteString("\nThe steps. TIME is since the run began, as 2.5s; what lasts ends after \"for TIME\", or with the phase:\n\n")
	for v := Crash; v < NumVerbs; v++ {
		form := verbForms[v]
		words := strings.TrimSpace("at TIME " + form.word + " " + argumentWords(v))
		if form.lasts {
			words += " [for TIME]"
		}
		fmt.Fprintf(&b, "  %-46s %s\n", words, form.what)
	}
	b.WriteString("\nNODE is n1, n2, …, or who has a role for partition P when the step is taken:\n\n")
	for role := Primary; role < roles; role++ {
		fmt.Fprintf(&b, "  %-11s %s\n", roleForms[role].prefix+"P", roleForms[role].what)
	}
	b.WriteString("\nA step comes later with \"after TIME\", and waits with \"once MOMENT:P\" for one in partition P:\n\n")
	for m := AtOnce + 1; m < moments; m++ {
		fmt.Fprintf(&b, "  %-11s %s\n", m, momentForms[m].what)
	}
	b.WriteString("\nWith workload calls=listed the clients ask what is listed, and nothing else:\n\n")
	for _, line := range []string{"get KEY at nN", "put KEY [if-absent|if-match] at nN", "delete KEY [if-match] at nN"} {
		b.WriteString("  at TIME client N " + line + "\n")
	}
	return b.String()
}

// argumentWords is what follows a verb, in capitals.
func argumentWords(v Verb) string {
	switch verbForms[v].args {
	case oneTarget:
		return "NODE"
	case manyTargets:
		return "NODE …"
	case twoTargets:
		return "NODE NODE"
	case arrow:
		if v == CutTwoWay {
			return "NODE<>NODE"
		}
		return "NODE>NODE"
	case arrowAndLag:
		return "NODE>NODE TIME"
	case arrowAndRate:
		return "NODE>NODE BYTES"
	case targetAndLag:
		return "NODE TIME"
	case rateList:
		return "FAULT=CHANCE …"
	case serverAndLag:
		return "SERVER TIME"
	case serverOnly:
		return "SERVER"
	case partitionOnly:
		return "P"
	case partitionAndTargets:
		return "P NODE …"
	case targetAndPartition:
		return "NODE P"
	}
	return ""
}
