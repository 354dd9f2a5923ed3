//! A template's text to its parts, with Jinja's own precedence: or, and, not, comparison, `+ -`, `~`, `* / // %`, sign, parts, filters.

use super::{Expression, Filter, MAX_DEPTH, MAX_TEMPLATE, NotUnderstood, Operator, Part};

/// What Jinja would take for a method of a table, not for what stands in it.
const METHODS: [&str; 11] =
    ["clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"];
/// Words that are no names.
const RESERVED: [&str; 7] = ["and", "or", "not", "if", "else", "is", "in"];
/// No device sends a list in which something stands further back.
const LAST_INDEX: usize = 9999;

fn refuse<T>(words: impl Into<String>) -> Result<T, NotUnderstood> {
    Err(NotUnderstood(words.into()))
}

#[derive(Clone, PartialEq, Debug)]
enum Token<'t> {
    Name(&'t str),
    Int(i64),
    Float(f64),
    Text(&'t str),
    Sign(&'t str),
}

/// Two-byte signs first.
const SIGNS: [&str; 21] =
    ["==", "!=", "<=", ">=", "//", "**", "(", ")", "[", "]", ".", ",", "|", "+", "-", "*", "/", "%", "~", "<", ">"];

pub(super) fn parts(text: &str) -> Result<Vec<Part>, NotUnderstood> {
    if text.len() > MAX_TEMPLATE {
        return refuse(format!("it has more than {MAX_TEMPLATE} bytes"));
    }
    let mut parts = Vec::new();
    let mut rest = text;
    // Whether the blanks at the beginning of the next text are left out, by `-}}`.
    let mut trim = false;
    loop {
        let (before, inside) = match rest.split_once("{{") {
            Some((before, inside)) => (before, Some(inside)),
            None => (rest, None),
        };
        if before.contains("{%") || before.contains("{#") {
            return refuse("it has statements ({% … %}), which only Home Assistant runs");
        }
        let trims_before = inside.is_some_and(|inside| inside.starts_with('-'));
        let before = if trim { before.trim_start() } else { before };
        let before = if trims_before { before.trim_end() } else { before };
        if !before.is_empty() {
            parts.push(Part::Text(before.into()));
        }
        let Some(inside) = inside else { break };
        let inside = inside.strip_prefix(['-', '+']).unwrap_or(inside);
        let (tokens, behind, trims) = lex(inside)?;
        (rest, trim) = (behind, trims);
        let mut parser = Parser { tokens: &tokens, depth: 0 };
        let expression = parser.conditional()?;
        if let Some(left) = parser.tokens.first() {
            return refuse(format!("{} is not expected there", left.show()));
        }
        parts.push(Part::Expression(expression));
    }
    if !parts.iter().any(|part| matches!(part, Part::Expression(_))) {
        return refuse("it says the same whatever the message is");
    }
    Ok(parts)
}

/// The tokens up to `}}`, what is behind it, and whether blanks there are left out.
fn lex(text: &str) -> Result<(Vec<Token<'_>>, &str, bool), NotUnderstood> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(behind) = rest.strip_prefix("}}") {
            return Ok((tokens, behind, false));
        }
        if let Some(behind) = rest.strip_prefix("-}}") {
            return Ok((tokens, behind, true));
        }
        let Some(first) = rest.chars().next() else { return refuse("a {{ has no }}") };
        let behind = if first == '\'' || first == '"' {
            let inner = rest.get(1..).unwrap_or_default();
            let Some((text, behind)) = inner.split_once(first) else { return refuse("a text is not closed") };
            if text.contains('\\') {
                return refuse("a text with \\ in it");
            }
            tokens.push(Token::Text(text));
            behind
        } else if first.is_ascii_digit() {
            let (token, behind) = number(rest)?;
            tokens.push(token);
            behind
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let (name, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
            tokens.push(Token::Name(name));
            behind
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            let (sign, behind) = rest.split_at_checked(sign.len()).unwrap_or((rest, ""));
            tokens.push(Token::Sign(sign));
            behind
        } else {
            return refuse(format!("{first:?} is not understood"));
        };
        rest = behind.trim_start();
    }
}

fn number(text: &str) -> Result<(Token<'_>, &str), NotUnderstood> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let whole = digits(text);
    let behind = text.get(whole..).unwrap_or_default();
    let fraction = behind.strip_prefix('.').map(digits).filter(|count| *count > 0);
    let end = fraction.map_or(whole, |count| whole + 1 + count);
    let (number, behind) = text.split_at_checked(end).unwrap_or((text, ""));
    if behind.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
        return refuse(format!("a number such as {number} with letters behind it"));
    }
    // Jinja takes 007 for no number, and 00.5 for one.
    if number.starts_with('0') && number.len() > 1 && fraction.is_none() {
        return refuse(format!("the number {number} with a zero before it"));
    }
    let token = match fraction {
        None => number.parse().ok().map(Token::Int),
        Some(_) => number.parse().ok().map(Token::Float),
    };
    token.map_or_else(|| refuse(format!("the number {number} is too large")), |token| Ok((token, behind)))
}

impl Token<'_> {
    fn show(&self) -> String {
        match self {
            Self::Name(text) | Self::Sign(text) => format!("`{text}`"),
            Self::Text(text) => format!("'{text}'"),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
        }
    }
}

struct Parser<'p> {
    tokens: &'p [Token<'p>],
    depth: usize,
}

type Parsed = Result<Expression, NotUnderstood>;

impl<'p> Parser<'p> {
    fn next(&mut self) -> Option<&'p Token<'p>> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    fn sign(&mut self, wanted: &str) -> bool {
        let is = matches!(self.tokens.first(), Some(Token::Sign(sign)) if *sign == wanted);
        if is {
            self.next();
        }
        is
    }

    fn word(&mut self, wanted: &str) -> bool {
        let is = matches!(self.tokens.first(), Some(Token::Name(name)) if *name == wanted);
        if is {
            self.next();
        }
        is
    }

    fn expect(&mut self, wanted: &str) -> Result<(), NotUnderstood> {
        if self.sign(wanted) { Ok(()) } else { refuse(format!("a `{wanted}` is missing")) }
    }

    fn deeper(&mut self) -> Result<(), NotUnderstood> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { refuse(format!("it is more than {MAX_DEPTH} deep")) } else { Ok(()) }
    }

    fn conditional(&mut self) -> Parsed {
        self.deeper()?;
        let mut expression = self.or()?;
        while self.word("if") {
            self.deeper()?;
            let condition = self.or()?;
            let otherwise = if self.word("else") { Some(Box::new(self.conditional()?)) } else { None };
            expression = Expression::If(Box::new(condition), Box::new(expression), otherwise);
        }
        Ok(expression)
    }

    /// `inner (sign inner)*`, each one deeper than the one before.
    fn chain(
        &mut self,
        inner: impl Fn(&mut Self) -> Parsed,
        join: impl Fn(&mut Self, Expression) -> Result<Result<Expression, Expression>, NotUnderstood>,
    ) -> Parsed {
        let first = inner(self)?;
        self.chain_from(first, join)
    }

    fn or(&mut self) -> Parsed {
        self.chain(Self::and, |this, left| {
            if !this.word("or") {
                return Ok(Err(left));
            }
            Ok(Ok(Expression::Or(Box::new(left), Box::new(this.and()?))))
        })
    }

    fn and(&mut self) -> Parsed {
        self.chain(Self::not, |this, left| {
            if !this.word("and") {
                return Ok(Err(left));
            }
            Ok(Ok(Expression::And(Box::new(left), Box::new(this.not()?))))
        })
    }

    fn not(&mut self) -> Parsed {
        if !self.word("not") {
            return self.comparison();
        }
        self.deeper()?;
        let inner = self.not()?;
        self.depth -= 1;
        Ok(Expression::Not(Box::new(inner)))
    }

    fn comparison(&mut self) -> Parsed {
        const COMPARISONS: [(&str, Operator); 6] = [
            ("==", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessEqual),
            (">=", Operator::GreaterEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        let left = self.binary(&[("+", Operator::Add), ("-", Operator::Subtract)], Self::joined)?;
        let Some((_, operator)) = COMPARISONS.iter().find(|(sign, _)| self.sign(sign)) else { return Ok(left) };
        let right = self.binary(&[("+", Operator::Add), ("-", Operator::Subtract)], Self::joined)?;
        let more = matches!(self.tokens.first(), Some(Token::Sign(sign)) if COMPARISONS.iter().any(|(c, _)| c == sign));
        if more || matches!(self.tokens.first(), Some(Token::Name("in"))) {
            return refuse("several comparisons in one");
        }
        Ok(Expression::Binary(*operator, Box::new(left), Box::new(right)))
    }

    fn joined(&mut self) -> Parsed {
        self.binary(&[("~", Operator::Concat)], |this| {
            let signs = [("//", Operator::FloorDivide), ("*", Operator::Multiply), ("/", Operator::Divide)];
            this.binary(&[signs[0], signs[1], signs[2], ("%", Operator::Modulo)], Self::signed)
        })
    }

    fn binary(&mut self, signs: &[(&str, Operator)], inner: impl Fn(&mut Self) -> Parsed) -> Parsed {
        self.chain(&inner, |this, left| {
            let Some((_, operator)) = signs.iter().find(|(sign, _)| this.sign(sign)) else { return Ok(Err(left)) };
            Ok(Ok(Expression::Binary(*operator, Box::new(left), Box::new(inner(this)?))))
        })
    }

    /// A sign binds more tightly than filters: `-x|abs` is `(-x)|abs`.
    fn signed(&mut self) -> Parsed {
        let operand = self.operand()?;
        self.filters(operand)
    }

    fn operand(&mut self) -> Parsed {
        if self.sign("-") {
            self.deeper()?;
            let inner = self.operand()?;
            self.depth -= 1;
            return Ok(Expression::Negative(Box::new(inner)));
        }
        if self.sign("+") {
            return refuse("a + before a value");
        }
        let primary = self.primary()?;
        self.members(primary)
    }

    fn primary(&mut self) -> Parsed {
        match self.next() {
            Some(Token::Name("value")) => Ok(Expression::Value),
            Some(Token::Name("value_json")) => Ok(Expression::ValueJson),
            Some(Token::Name("true" | "True")) => Ok(Expression::Bool(true)),
            Some(Token::Name("false" | "False")) => Ok(Expression::Bool(false)),
            Some(Token::Name("none" | "None")) => Ok(Expression::None),
            Some(Token::Name(name)) if RESERVED.contains(name) => refuse(format!("`{name}` is not expected there")),
            Some(Token::Name(name)) => refuse(format!("`{name}` is none of value and value_json")),
            Some(Token::Int(number)) => Ok(Expression::Int(*number)),
            Some(Token::Float(number)) => Ok(Expression::Float(*number)),
            Some(Token::Text(text)) => {
                if matches!(self.tokens.first(), Some(Token::Text(_))) {
                    return refuse("two texts side by side");
                }
                Ok(Expression::Text((*text).into()))
            }
            Some(Token::Sign("(")) => {
                let inner = self.conditional()?;
                self.depth = self.depth.saturating_sub(1);
                self.expect(")")?;
                Ok(inner)
            }
            Some(other) => refuse(format!("{} is not expected there", other.show())),
            None => refuse("something is missing"),
        }
    }

    fn members(&mut self, expression: Expression) -> Parsed {
        self.chain_from(expression, |this, inner| {
            if this.sign(".") {
                return match this.next() {
                    Some(Token::Name(name)) if METHODS.contains(name) => {
                        refuse(format!(".{name} is a call; write ['{name}'] for a value of this name"))
                    }
                    Some(Token::Name(name)) => Ok(Ok(Expression::Member(Box::new(inner), (*name).into()))),
                    _ => refuse("behind a . stands a name"),
                };
            }
            if this.sign("[") {
                let part = match this.next() {
                    Some(Token::Text(name)) => Expression::Member(Box::new(inner), (*name).into()),
                    Some(Token::Int(index)) => match usize::try_from(*index).ok().filter(|at| *at <= LAST_INDEX) {
                        Some(index) => Expression::Index(Box::new(inner), index),
                        None => return refuse("an index is too large"),
                    },
                    _ => return refuse("in [ ] stands a text or a whole number"),
                };
                this.expect("]")?;
                return Ok(Ok(part));
            }
            if matches!(this.tokens.first(), Some(Token::Sign("("))) {
                return refuse("calls are not made");
            }
            Ok(Err(inner))
        })
    }

    fn chain_from(
        &mut self,
        mut expression: Expression,
        join: impl Fn(&mut Self, Expression) -> Result<Result<Expression, Expression>, NotUnderstood>,
    ) -> Parsed {
        let before = self.depth;
        loop {
            match join(self, expression)? {
                Ok(joined) => expression = joined,
                Err(alone) => {
                    self.depth = before;
                    return Ok(alone);
                }
            }
            self.deeper()?;
        }
    }

    fn filters(&mut self, expression: Expression) -> Parsed {
        self.chain_from(expression, |this, inner| {
            if this.word("is") {
                let wanted = !this.word("not");
                return match this.next() {
                    Some(Token::Name("defined")) => Ok(Ok(Expression::IsDefined(Box::new(inner), wanted))),
                    Some(Token::Name("none")) => Ok(Ok(Expression::IsNone(Box::new(inner), wanted))),
                    Some(other) => refuse(format!("the test {} is not known", other.show())),
                    None => refuse("behind `is` stands a test"),
                };
            }
            if !this.sign("|") {
                return Ok(Err(inner));
            }
            let Some(Token::Name(name)) = this.next() else { return refuse("behind a | stands a filter") };
            let arguments = this.arguments()?;
            Ok(Ok(Expression::Filter(filter(name, arguments)?, Box::new(inner))))
        })
    }

    /// What stands in the parentheses behind a filter.
    fn arguments(&mut self) -> Result<Vec<Expression>, NotUnderstood> {
        let mut arguments = Vec::new();
        if !self.sign("(") || self.sign(")") {
            return Ok(arguments);
        }
        loop {
            let argument = self.conditional()?;
            self.depth = self.depth.saturating_sub(1);
            arguments.push(argument);
            if self.sign(")") {
                return Ok(arguments);
            }
            self.expect(",")?;
        }
    }
}

fn filter(name: &str, arguments: Vec<Expression>) -> Result<Filter, NotUnderstood> {
    let too_many = || refuse(format!("the filter {name} with these arguments"));
    Ok(match (name, arguments.as_slice()) {
        ("float", []) => Filter::Float(None),
        ("float", [default]) => Filter::Float(Some(Box::new(default.clone()))),
        ("int", []) => Filter::Int(None),
        ("int", [default]) => Filter::Int(Some(Box::new(default.clone()))),
        ("round", []) => Filter::Round(0),
        ("round", [Expression::Int(digits)]) => match u8::try_from(*digits).ok().filter(|digits| *digits <= 9) {
            Some(digits) => Filter::Round(digits),
            None => return too_many(),
        },
        ("default" | "d", [default]) => Filter::Default(Box::new(default.clone()), false),
        ("default" | "d", [default, Expression::Bool(also_false)]) => {
            Filter::Default(Box::new(default.clone()), *also_false)
        }
        ("is_defined", []) => Filter::IsDefined,
        ("abs", []) => Filter::Abs,
        ("lower", []) => Filter::Lower,
        ("upper", []) => Filter::Upper,
        ("trim", []) => Filter::Trim,
        ("float" | "int" | "round" | "default" | "d" | "is_defined" | "abs" | "lower" | "upper" | "trim", _) => {
            return too_many();
        }
        _ => return refuse(format!("the filter `{name}` is not known")),
    })
}
