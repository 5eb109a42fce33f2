package mesh

// JoinWithClock is Join with a clock that other peers are shown.
var JoinWithClock = joinWithClock
