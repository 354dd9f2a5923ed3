//! Functions beyond the engine's own: averages over time, thinning and resampling, tags side by side, and what PostgreSQL's clients call.

mod average;
mod beside;
pub(crate) mod bin;
mod booleans;
pub(crate) mod casts;
pub(crate) mod clock;
pub(crate) mod constants;
pub(crate) mod exact;
pub(crate) mod json;
pub(crate) mod lengths;
pub(crate) mod part;
pub mod series;
pub(crate) mod sum;
mod system;
pub(crate) mod texts;

use crate::engine::Caller;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use std::sync::Arc;

/// Those that are the same for everybody.
pub(crate) fn register(state: &mut SessionState) {
    let mut all: Vec<Arc<ScalarUDF>> = system::functions();
    all.push(bin::Bin::registered());
    all.extend(json::functions());
    if let Ok(engines) = state.udf("date_trunc") {
        all.push(Arc::new(ScalarUDF::from(bin::Bin::date_trunc(engines))));
    }
    if let Ok(engines) = state.udf("date_part") {
        all.push(Arc::new(ScalarUDF::from(part::Part::over(engines))));
    }
    // Here as well as for each statement: no function of the engine's may be left under a name of ours, also not by another name of its own.
    let clock = clock::functions();
    let ours = |name: &str| clock.iter().find(|function| function.name() == name).cloned();
    all.extend(texts::bounded(&texts::Share::default(), |name| ours(name).or_else(|| state.udf(name).ok())));
    all.extend(clock.iter().filter(|function| function.name() != clock::TO_CHAR).cloned());
    for function in all {
        if let Err(error) = state.register_udf(function) {
            tracing::error!(%error, "an SQL function of ours cannot be registered");
        }
    }
    if let Err(error) = state.register_expr_planner(Arc::new(booleans::Booleans)) {
        tracing::error!(%error, "the reading of '0' and '1' as false and true cannot be registered");
    }
    let average = AggregateUDF::from(average::TimeWeightedAverage::new());
    for aggregate in [average, sum::Sum::registered()] {
        if let Err(error) = state.register_udaf(Arc::new(aggregate)) {
            tracing::error!(%error, "an SQL function of ours cannot be registered");
        }
    }
}

/// Those that read for a caller, and those of which a statement has a share.
pub(crate) fn register_for(state: &mut SessionState, caller: &Caller, share: &texts::Share) {
    for function in texts::bounded(share, |name| state.udf(name).ok()) {
        let _ = state.register_udf(function);
    }
    let _ = state.register_expr_planner(Arc::new(texts::Joins::new(share)));
    for kind in [series::Kind::Thin, series::Kind::Resample] {
        state.register_udtf(kind.name(), Arc::new(series::Series { caller: caller.clone(), kind }));
    }
    for kind in [beside::Kind::Samples, beside::Kind::Last] {
        state.register_udtf(kind.name(), Arc::new(beside::SideBySide { caller: caller.clone(), kind }));
    }
    let who = caller.name();
    for name in ["current_user", "session_user", "user", "current_role"] {
        let _ = state.register_udf(system::constant(name, &who));
    }
}
