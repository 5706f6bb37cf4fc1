package schedule

// maxDriftPPM bounds a clock's drift: ten percent.
const MaxDriftPPM = 100_000

// maxRunSteps bounds a run, far above what any takes.
const MaxRunSteps = 30_000_000

// maxZKScripts bounds a run's scripts.
const MaxZKScripts = 3

// maxClients bounds the numbers of the clients that a schedule names, from 0.
const MaxClients = 100
