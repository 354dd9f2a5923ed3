//! Texts that repeat, by number. 0 stands for none.

use crate::error::StoreError;
use crate::sql::{Link, sql};
use std::collections::HashMap;

/// So many numbers are asked for with one statement.
const ASKED_AT_A_TIME: usize = 500;

/// The words of one transaction, as far as they have been needed.
#[derive(Default)]
pub(super) struct Words {
    numbers: HashMap<String, i64>,
    /// Those that were made since [`Words::begin`].
    fresh: Vec<(String, i64)>,
}

impl Words {
    /// What is numbered from here on can be taken back.
    pub(super) fn begin(&mut self) {
        self.fresh.clear();
    }

    /// Takes back what was numbered since [`Words::begin`].
    pub(super) async fn undo(&mut self, tx: &mut Link<'_>) -> Result<(), StoreError> {
        for (text, number) in std::mem::take(&mut self.fresh) {
            self.numbers.remove(&text);
            sql("DELETE FROM trace_word WHERE number = $1")
                .bind(number)
                .run(tx, "take back a word of traceability")
                .await?;
        }
        Ok(())
    }

    /// The number of a text; it gets one if it has none. The empty text is 0.
    pub(super) async fn number(&mut self, tx: &mut Link<'_>, text: &str) -> Result<i64, StoreError> {
        if let Some(number) = self.known(tx, text).await? {
            return Ok(number);
        }
        let number: i64 = sql(
            "INSERT INTO trace_word (number, text) SELECT coalesce(max(number), 0) + 1, $1 FROM trace_word RETURNING number",
        )
        .bind(text)
        .only(tx, "number a word of traceability")
.await?;
        self.numbers.insert(text.to_owned(), number);
        self.fresh.push((text.to_owned(), number));
        Ok(number)
    }

    /// The number of a text, if it has one.
    pub(super) async fn known(&mut self, tx: &mut Link<'_>, text: &str) -> Result<Option<i64>, StoreError> {
        if text.is_empty() {
            return Ok(Some(0));
        }
        if let Some(number) = self.numbers.get(text) {
            return Ok(Some(*number));
        }
        let number = number_of(tx, text).await?;
        self.numbers.extend(number.map(|number| (text.to_owned(), number)));
        Ok(number)
    }

    /// As [`Words::number`], of a text that may be missing.
    pub(super) async fn perhaps(&mut self, tx: &mut Link<'_>, text: Option<&str>) -> Result<Option<i64>, StoreError> {
        match text {
            Some(text) => self.number(tx, text).await.map(Some),
            None => Ok(None),
        }
    }
}

/// The number of a text, if it has one.
pub(super) async fn number_of(connection: &mut Link<'_>, text: &str) -> Result<Option<i64>, StoreError> {
    sql("SELECT number FROM trace_word WHERE text = $1")
        .bind(text)
        .first(connection, "look a word of traceability up")
        .await
}

/// The texts of numbers.
#[derive(Default)]
pub(super) struct Texts {
    texts: HashMap<i64, String>,
}

impl Texts {
    /// The texts of all these numbers; what is 0, below or there already is not asked for.
    pub(super) async fn of(&mut self, connection: &mut Link<'_>, mut numbers: Vec<i64>) -> Result<(), StoreError> {
        numbers.retain(|number| *number > 0 && !self.texts.contains_key(number));
        numbers.sort_unstable();
        numbers.dedup();
        for numbers in numbers.chunks(ASKED_AT_A_TIME) {
            let mut query = sql("SELECT number, text FROM trace_word WHERE number IN ");
            query.push_list(numbers.iter().copied());
            let rows: Vec<(i64, String)> = query.rows(connection, "look the words of traceability up").await?;
            self.texts.extend(rows);
        }
        Ok(())
    }

    /// The text of a number; empty: none.
    pub(super) fn text(&self, number: i64) -> String {
        self.texts.get(&number).cloned().unwrap_or_default()
    }

    /// The text of a number that may be missing.
    pub(super) fn perhaps(&self, number: Option<i64>) -> Option<String> {
        number.and_then(|number| self.texts.get(&number).cloned())
    }

    /// The id that a number stands for.
    pub(super) fn id(&self, number: Option<i64>) -> Option<uuid::Uuid> {
        number.and_then(|number| self.texts.get(&number)).and_then(|text| text.parse().ok())
    }
}
