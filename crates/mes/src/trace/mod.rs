//! Where things come from: what a vessel gives when lots mix in it, how lots are numbered, and what stands on labels.
//!
//! What went into what is kept by the store; here is what can be said without it.
//!
//! # Invariants
//! - What is drawn from a vessel and what stays in it is, lot by lot, what went in, to the millionth ([`tank`]).
//! - Nothing that is printed on a label can give the printer a command ([`label`]).
//!
//! Start reading at [`tank::Tank`], then [`gs1::Elements`], then [`label::Label`].

pub mod gs1;
pub mod label;
pub mod number;
pub mod qr;
pub mod tank;
