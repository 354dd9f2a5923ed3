//! Alarms after ISA-18.2: states, delays, acknowledgement, journal.
