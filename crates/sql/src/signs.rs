//! Operators as PostgreSQL reads them: `value>-1` compares with minus one.

use datafusion::sql::sqlparser::dialect::Dialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

/// Only where an operator has one of these may it end in a sign (PostgreSQL 17, 4.1.3).
const MAY_END_IN_A_SIGN: &str = "~!@#%^&|`?";

/// Cuts the signs off an operator that cannot end in one.
pub(crate) fn cut_off(tokens: Vec<TokenWithSpan>, dialect: &dyn Dialect) -> Vec<TokenWithSpan> {
    let mut cut = Vec::with_capacity(tokens.len());
    for TokenWithSpan { token, span } in tokens {
        let Token::CustomBinaryOperator(name) = &token else {
            cut.push(TokenWithSpan { token, span });
            continue;
        };
        let rest = name.trim_end_matches(['+', '-']);
        let one = if rest.is_empty() { name.get(..1).unwrap_or_default() } else { rest };
        let signs = name.get(one.len()..).unwrap_or_default();
        if signs.is_empty() || name.contains(|sign| MAY_END_IN_A_SIGN.contains(sign)) {
            cut.push(TokenWithSpan { token, span });
            continue;
        }
        let first = Tokenizer::new(dialect, one)
            .tokenize()
            .unwrap_or_else(|_| vec![Token::CustomBinaryOperator(one.to_owned())]);
        let signs = signs.chars().map(|sign| if sign == '-' { Token::Minus } else { Token::Plus });
        cut.extend(first.into_iter().chain(signs).map(|token| TokenWithSpan { token, span }));
    }
    cut
}
