//! Meters and their quarter hours.

use super::outbox::set_applied;
use crate::energy::{EnergyKeep, EnergyRepository, READER, StoredMeter, StoredQuarter, StoredSum};
use crate::error::{StoreError, database};
use crate::sql::{Link, sql};
use crate::store::Store;
use andon_model::log::Lane;
use async_trait::async_trait;
use std::collections::HashMap;

/// So many rows are written with one statement, for each is a way to the database's thread and back.
const AT_A_TIME: usize = 64;
/// So many meters are asked for at once.
const ASKED_AT_A_TIME: usize = 500;

#[async_trait]
impl EnergyRepository for Store {
    async fn energy_meters(&self, names: Vec<String>) -> Result<Vec<StoredMeter>, StoreError> {
        self.write(move |mut tx| {
            Box::pin(async move {
                let doing = "read the meters";
                let rows = sql("SELECT number, name, heard FROM energy_meter").all(&mut tx).await;
                let mut known: HashMap<String, StoredMeter> = HashMap::new();
                for row in rows.map_err(database(doing))? {
                    let name: String = row.get("name")?;
                    let meter =
                        StoredMeter { number: row.get("number")?, name: name.clone(), heard: row.get("heard")? };
                    known.insert(name, meter);
                }
                let mut next = known.values().map(|meter| meter.number).max().unwrap_or_default() + 1;
                let (mut new, mut meters) = (Vec::new(), Vec::with_capacity(names.len()));
                for name in names {
                    let meter = known.entry(name.clone()).or_insert_with(|| {
                        let meter = StoredMeter { number: next, name, heard: String::new() };
                        next += 1;
                        new.push(meter.clone());
                        meter
                    });
                    meters.push(meter.clone());
                }
                for meters in new.chunks(AT_A_TIME) {
                    let mut statement = sql("INSERT INTO energy_meter (number, name, heard) ");
                    statement.push_rows(
                        meters.iter().map(|meter| {
                            vec![meter.number.into(), meter.name.clone().into(), meter.heard.clone().into()]
                        }),
                    );
                    statement.run(&mut tx, "number the meters").await?;
                }
                Ok(meters)
            })
        })
        .await
    }

    async fn energy_quarters(&self, meters: &[u32], from: i64, to: i64) -> Result<Vec<StoredQuarter>, StoreError> {
        let doing = "read quarter hours of meters";
        let mut reading = self.moment(doing).await?;
        let mut all: Vec<StoredQuarter> = Vec::new();
        for meters in meters.chunks(ASKED_AT_A_TIME) {
            let mut query = sql("SELECT * FROM energy_quarter WHERE meter IN ");
            query.push_list(meters.iter().copied());
            query.push(" AND quarter >= ").push_bind(from).push(" AND quarter < ").push_bind(to);
            query.push(" ORDER BY quarter, meter");
            for row in query.all(&mut reading.link()).await.map_err(database(doing))? {
                all.push(StoredQuarter {
                    meter: row.get("meter")?,
                    quarter: row.get("quarter")?,
                    energy: row.get("energy")?,
                    estimated: row.get("estimated")?,
                    from_us: row.get("from_us")?,
                    to_us: row.get("to_us")?,
                    metered_us: row.get("metered_us")?,
                });
            }
        }
        all.sort_unstable_by_key(|quarter| (quarter.quarter, quarter.meter));
        Ok(all)
    }

    async fn energy_sums(&self, meters: &[u32], from: i64, to: i64) -> Result<Vec<StoredSum>, StoreError> {
        let doing = "add up quarter hours of meters";
        let mut reading = self.moment(doing).await?;
        let mut all = Vec::new();
        for meters in meters.chunks(ASKED_AT_A_TIME) {
            let mut query = sql("SELECT meter, CAST(sum(energy) AS BIGINT) AS energy, \
                CAST(sum(estimated) AS BIGINT) AS estimated, CAST(sum(metered_us) AS BIGINT) AS metered_us \
                FROM energy_quarter WHERE meter IN ");
            query.push_list(meters.iter().copied());
            query.push(" AND quarter >= ").push_bind(from).push(" AND quarter < ").push_bind(to);
            query.push(" GROUP BY meter ORDER BY meter");
            for row in query.all(&mut reading.link()).await.map_err(database(doing))? {
                all.push(StoredSum {
                    meter: row.get("meter")?,
                    energy: row.get("energy")?,
                    estimated: row.get("estimated")?,
                    metered_us: row.get("metered_us")?,
                });
            }
        }
        all.sort_unstable_by_key(|sum: &StoredSum| sum.meter);
        Ok(all)
    }

    async fn energy_keep(&self, keep: EnergyKeep) -> Result<(), StoreError> {
        self.write(move |mut tx| {
            Box::pin(async move {
                for heard in keep.heard.chunks(AT_A_TIME) {
                    let mut statement = sql("UPDATE energy_meter SET heard = said.column2 FROM (");
                    statement
                        .push_rows(heard.iter().map(|(number, heard)| vec![(*number).into(), heard.clone().into()]));
                    statement.push(") AS said WHERE energy_meter.number = said.column1");
                    statement.run(&mut tx, "keep what meters said last").await?;
                }
                keep_quarters(&mut tx, &keep.quarters).await?;
                match keep.upto {
                    Some(upto) => set_applied(&mut tx, READER, Lane::Samples, upto).await,
                    None => Ok(()),
                }
            })
        })
        .await
    }
}

async fn keep_quarters(tx: &mut Link<'_>, quarters: &[StoredQuarter]) -> Result<(), StoreError> {
    for quarters in quarters.chunks(AT_A_TIME) {
        let mut statement =
            sql("INSERT INTO energy_quarter (meter, quarter, energy, estimated, from_us, to_us, metered_us) ");
        statement.push_rows(quarters.iter().map(|row| {
            let numbers = [row.quarter, row.energy, row.estimated, row.from_us, row.to_us, row.metered_us];
            std::iter::once(row.meter.into()).chain(numbers.map(Into::into)).collect()
        }));
        statement.push(
            " ON CONFLICT (meter, quarter) DO UPDATE SET energy = excluded.energy, estimated = excluded.estimated, \
             from_us = excluded.from_us, to_us = excluded.to_us, metered_us = excluded.metered_us",
        );
        statement.run(tx, "keep quarter hours of meters").await?;
    }
    Ok(())
}
