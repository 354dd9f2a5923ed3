//! A simulated Modbus TCP device for foreign clients: `cargo run -p andon-connectors --example modbus_sim -- 127.0.0.1:5020`.
//!
//! Prints `listening on ADDRESS` and serves until Ctrl-C. Its registers:
//!
//! | table | address | what |
//! | --- | --- | --- |
//! | holding | 0 | u16 1234 |
//! | holding | 1 | i16 -5 |
//! | holding | 2..3 | u32 4 000 000 000, high word first |
//! | holding | 4..5 | f32 123.456, high word first |
//! | holding | 6..7 | f32 123.456, low word first |
//! | holding | 8..11 | f64 -0.1, high word first |
//! | holding | 12..15 | text "Andon 1" |
//! | holding | 20..29 | free to write, 0 at the start; above 1000 at 20 is refused with exception 0x03 |
//! | input | 0..9 | 100, 101, … 109 |
//! | coil | 0..9 | every second one on; free to write |
//! | discrete | 0..9 | every third one on |

use andon_connectors::modbus::config::Table;
use andon_connectors::modbus::sim::{Bank, Simulator};
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address: SocketAddr = std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:0").parse()?;
    let simulator = Simulator::start(address, bank()).await?;
    println!("listening on {}", simulator.address());
    tokio::signal::ctrl_c().await?;
    simulator.stop().await;
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "taking a number apart")]
fn bank() -> Arc<Bank> {
    let bank = Bank::new();
    let float = 123.456_f32.to_bits();
    let double = (-0.1_f64).to_bits();
    bank.set(Table::Holding, 0, &[1234, -5_i16 as u16]);
    bank.set_u32(Table::Holding, 2, 4_000_000_000);
    bank.set_f32(Table::Holding, 4, 123.456);
    bank.set(Table::Holding, 6, &[float as u16, (float >> 16) as u16]);
    bank.set(Table::Holding, 8, &[(double >> 48) as u16, (double >> 32) as u16, (double >> 16) as u16, double as u16]);
    bank.set_text(Table::Holding, 12, 4, "Andon 1");
    bank.set(Table::Holding, 20, &[0; 10]);
    for step in 0..10 {
        bank.set(Table::Input, step, &[100 + step]);
        bank.set_bit(Table::Coil, step, step % 2 == 0);
        bank.set_bit(Table::Discrete, step, step % 3 == 0);
    }
    bank.on_write(Box::new(|table, address, words| {
        let at_20 = words.iter().zip(address..).find(|(_, at)| *at == 20).map(|(word, _)| *word);
        if table == Table::Holding && at_20.is_some_and(|word| word > 1000) { Err(0x03) } else { Ok(()) }
    }));
    bank
}
