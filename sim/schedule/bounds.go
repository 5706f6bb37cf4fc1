package schedule

// MaxDriftPPM bounds the drift of a clock, in millionths: ten percent.
const MaxDriftPPM = 100_000

// MaxRunSteps bounds the steps of a run, far above what any run takes.
const MaxRunSteps = 30_000_000

// MostTurn bounds the events of a turn, as production does.
const MostTurn = 256

// MaxZKScripts bounds the scripted sessions of a run.
const MaxZKScripts = 3

// MaxClients bounds the clients that a schedule names. Their numbers begin at 0.
const MaxClients = 100
