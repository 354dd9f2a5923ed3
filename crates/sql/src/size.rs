//! How large a statement is, looked at before it is planned: nothing ends planning early, and a tree that is too deep ends the process.

use crate::dialect::folded;
use crate::error::SqlError;
use crate::guard::{MAX_DEPTH, MAX_RELATIONS};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{ObjectName, ObjectNamePart, Query, Visit, Visitor};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Token;
use std::collections::HashMap;
use std::ops::ControlFlow;

/// The most tables of all parts that a statement names, each part as it is planned: one that stands on another has its tables, too.
const MAX_IN_PARTS: usize = 5 * MAX_RELATIONS;

/// # Errors
/// There are more than [`MAX_DEPTH`] words and signs of which each may be a level of the tree.
pub(crate) fn check_depth(tokens: &[Token]) -> Result<(), SqlError> {
    if tokens.iter().filter(|token| deepens(token)).count() > MAX_DEPTH {
        return Err(SqlError::TooBig { what: "deep", limit: format!("{MAX_DEPTH} operators") });
    }
    Ok(())
}

/// Whether a token may add a level to the statement's tree. A word of the language may, unless it is known to stand alone or to be a
/// name here: so a new operator of the parser counts before anybody has thought of it.
fn deepens(token: &Token) -> bool {
    match token {
        Token::Word(word) => !matches!(
            word.keyword,
            Keyword::NoKeyword
                | Keyword::AS
                | Keyword::FROM
                | Keyword::BY
                | Keyword::ASC
                | Keyword::DESC
                | Keyword::NULL
                | Keyword::TRUE
                | Keyword::FALSE
                | Keyword::DATE
                | Keyword::TIMESTAMP
                | Keyword::TIMESTAMPTZ
                | Keyword::INTERVAL
                | Keyword::VALUE
                | Keyword::PATH
                | Keyword::TEXT
                | Keyword::NAME
                | Keyword::TYPE
                | Keyword::COUNT
                | Keyword::MIN
                | Keyword::MAX
                | Keyword::SUM
                | Keyword::AVG
        ),
        Token::Whitespace(_)
        | Token::Comma
        | Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::RParen
        | Token::Period
        | Token::SemiColon
        | Token::Placeholder(_)
        | Token::EOF => false,
        _ => true,
    }
}

/// Counts the tables that a statement reads when what it names with WITH stands wherever it is used: that is what is planned. What it
/// names is planned first of all, whether it is used or not.
/// # Errors
/// There are more than [`MAX_RELATIONS`].
pub(crate) fn check_relations(statement: &Statement) -> Result<(), SqlError> {
    let statement = match statement {
        Statement::Statement(statement) => statement,
        Statement::Explain(explain) => return check_relations(&explain.statement),
        _ => return Ok(()),
    };
    let mut tables = Tables { scopes: vec![Scope::default()], in_parts: 0 };
    let too_many = statement.visit(&mut tables).is_break();
    let planned = tables.scopes.first().map_or(0, |scope| scope.tables);
    if too_many || planned > MAX_RELATIONS {
        let limit = format!("{MAX_RELATIONS} tables, one that is used twice counted twice");
        return Err(SqlError::TooBig { what: "wide", limit });
    }
    Ok(())
}

/// Counts tables on the way through a statement, query by query.
struct Tables {
    /// The queries around, the innermost last; before them the statement.
    scopes: Vec<Scope>,
    /// Tables of all named parts, each as it is planned.
    in_parts: usize,
}

#[derive(Default)]
struct Scope {
    /// Tables of the query as it is planned.
    tables: usize,
    /// Where its named parts lie that are still to come, and their names.
    parts: Vec<(*const Query, String)>,
    /// How many tables stand behind each name, so far. A part that names itself (`WITH RECURSIVE`) is not among them yet.
    named: HashMap<String, usize>,
}

impl Visitor for Tables {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let parts = query.with.iter().flat_map(|with| &with.cte_tables);
        let parts = parts.map(|part| (std::ptr::from_ref(&*part.query), folded(&part.alias.name))).collect();
        self.scopes.push(Scope { parts, ..Scope::default() });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let done = self.scopes.pop().unwrap_or_default();
        if let Some(around) = self.scopes.last_mut() {
            match around.parts.iter().find(|(part, _)| std::ptr::eq(*part, query)) {
                Some((_, name)) => {
                    around.named.insert(name.clone(), done.tables);
                    self.in_parts = self.in_parts.saturating_add(done.tables);
                }
                None => around.tables = around.tables.saturating_add(done.tables),
            }
        }
        if done.tables > MAX_RELATIONS || self.in_parts > MAX_IN_PARTS {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
        let named = |name: String| self.scopes.iter().rev().find_map(|scope| scope.named.get(&name).copied());
        let tables = simple_name(name).and_then(named).unwrap_or(1).max(1);
        if let Some(scope) = self.scopes.last_mut() {
            scope.tables = scope.tables.saturating_add(tables);
        }
        ControlFlow::Continue(())
    }
}

/// The name of a table without a schema.
fn simple_name(name: &ObjectName) -> Option<String> {
    let [ObjectNamePart::Identifier(name)] = &name.0[..] else { return None };
    Some(folded(name))
}
