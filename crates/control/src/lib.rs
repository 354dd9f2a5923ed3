//! Control: the command state machine, limits, outcomes.
