//! SQL over HTTP: one statement in, rows out, as they come.

use crate::App;
use crate::auth::Caller;
use crate::outgoing;
use crate::ports::{SqlFormat, SqlProblem};
use crate::problem::Problem;
use crate::socket::Cut;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::ToSchema;

/// A statement.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SqlQuery {
    /// SELECT, WITH, VALUES, SHOW or EXPLAIN; nothing else is answered.
    query: String,
    /// How the answer is written.
    #[serde(default)]
    format: SqlFormat,
}

impl From<SqlProblem> for Problem {
    fn from(problem: SqlProblem) -> Self {
        match problem {
            SqlProblem::Refused(words) => {
                Self::new(StatusCode::BAD_REQUEST, "sql-refused", "the statement has no answer").detail(words)
            }
            SqlProblem::NotAllowed(words) => {
                Self::new(StatusCode::FORBIDDEN, "not-allowed", "not allowed").detail(words)
            }
            SqlProblem::Busy(words) => Self::unavailable(words),
            SqlProblem::Damaged(words) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "history-damaged", "a part of history is damaged")
                    .detail(words)
                    .remedy("put the file back from a backup; `andon doctor` names every damaged file")
            }
            SqlProblem::Failed(words) => Self::internal(words),
        }
    }
}

/// Runs one statement with the caller's rights and streams its rows. What goes wrong before the first rows is a problem with its
/// status; what goes wrong on the way ends JSON with `error`, and breaks the other forms off.
#[utoipa::path(post, path = "/api/sql", request_body = SqlQuery, responses(
    (status = 200, description = "the rows; in JSON `{\"columns\": [{\"name\", \"type\"}], \"rows\": [[]]}`, where a number that JSON lacks is the text \"Infinity\", \"-Infinity\" or \"NaN\", and null is a value that is not there", content((Object = "application/json"), (String = "text/csv"), (Vec<u8> = "application/vnd.apache.arrow.stream"))),
    (status = 400, body = Problem), (status = 403, body = Problem), (status = 500, body = Problem), (status = 503, body = Problem)))]
pub async fn query(
    State(app): State<App>,
    caller: Caller,
    cut: Option<Extension<Cut>>,
    Json(asked): Json<SqlQuery>,
) -> Result<Response, Problem> {
    let still = outgoing::sees_as_now(app.clone(), caller.clone());
    let answer = app.sql.run(caller.who, asked.query, asked.format).await?;
    let pieces = futures_util::stream::unfold(answer.pieces, |mut pieces| async move {
        let piece = pieces.recv().await?;
        Some((piece.map_err(std::io::Error::other), pieces))
    });
    let body = outgoing::body(pieces, still, cut.map(|cut| cut.0));
    Ok(([(header::CONTENT_TYPE, answer.content_type)], body).into_response())
}
