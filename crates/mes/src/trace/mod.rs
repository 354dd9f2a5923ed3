//! What stands on lots and units, and how it is read again. What went into what is kept by the store.
//!
//! # Invariants
//! - Nothing that is printed on a label can give the printer a command ([`label`]).
//! - A code says the number that was written, whoever reads it ([`gs1`]).
//!
//! Start reading at [`gs1::Code`], then [`label::Label`].

pub mod gs1;
pub mod label;
pub mod qr;
