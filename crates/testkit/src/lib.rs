//! A plant in a box: simulated devices, real process data, a hand-driven clock.
