//! How large a statement is, looked at before it is planned: nothing ends planning early, and a tree that is too deep ends the process.

use crate::dialect::folded;
use crate::error::SqlError;
use crate::guard::{MAX_DEPTH, MAX_RELATIONS};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, ObjectName, ObjectNamePart, Query, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::Token;
use std::collections::HashMap;
use std::ops::ControlFlow;

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

/// Counts the tables that a statement reads when what it names with WITH stands wherever it is used: that is what is planned.
/// # Errors
/// There are more than [`MAX_RELATIONS`].
pub(crate) fn check_relations(statement: &mut Statement) -> Result<(), SqlError> {
    let Statement::Statement(statement) = statement else { return Ok(()) };
    let mut named = Named::default();
    let _ = statement.visit(&mut named);
    let mut reads = Vec::new();
    let _ = ast::visit_relations_mut(&mut **statement, |name| {
        reads.push(simple_name(name));
        ControlFlow::<()>::Continue(())
    });
    let all = reads.iter().fold(0_usize, |all, name| all.saturating_add(named.size(name.as_deref(), 0)));
    if all > MAX_RELATIONS {
        let limit = format!("{MAX_RELATIONS} tables, one that is used twice counted twice");
        return Err(SqlError::TooBig { what: "wide", limit });
    }
    Ok(())
}

/// The name of a table without a schema.
fn simple_name(name: &ObjectName) -> Option<String> {
    let [ObjectNamePart::Identifier(name)] = &name.0[..] else { return None };
    Some(folded(name))
}

/// What WITH names, at any place of the statement, and the tables that each reads.
#[derive(Default)]
struct Named {
    reads: HashMap<String, Vec<Option<String>>>,
    sizes: HashMap<String, usize>,
}

impl VisitorMut for Named {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        for part in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            // Of those with the same name all are taken together: never too few.
            let reads = self.reads.entry(folded(&part.alias.name)).or_default();
            let _ = ast::visit_relations_mut(&mut *part.query, |name| {
                reads.push(simple_name(name));
                ControlFlow::<()>::Continue(())
            });
        }
        ControlFlow::Continue(())
    }
}

impl Named {
    /// How many tables stand behind a name. One that names itself (`WITH RECURSIVE`) counts once there.
    fn size(&mut self, name: Option<&str>, depth: usize) -> usize {
        let Some((name, reads)) = name.and_then(|name| Some((name, self.reads.get(name)?.clone()))) else { return 1 };
        if let Some(known) = self.sizes.get(name) {
            return *known;
        }
        // More levels than may be read are too wide in any case.
        if depth > MAX_RELATIONS {
            return MAX_RELATIONS + 1;
        }
        self.sizes.insert(name.to_owned(), 1);
        let size = reads.iter().fold(1, |all: usize, read| all.saturating_add(self.size(read.as_deref(), depth + 1)));
        self.sizes.insert(name.to_owned(), size);
        size
    }
}
