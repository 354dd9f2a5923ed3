//! How topics must be named.

use regex::Regex;
use std::collections::HashSet;
use std::sync::Arc;

/// A rule for the names of topics.
#[derive(Debug)]
pub(crate) struct Naming {
    /// So many levels at the beginning do not count.
    pub(crate) skip: usize,
    /// What the levels behind them are called; a topic has at least these.
    pub(crate) levels: Vec<String>,
    /// What each level that counts must match as a whole, as written and compiled.
    pub(crate) pattern: Option<(String, Regex)>,
    /// The named levels are a path of this equipment.
    pub(crate) equipment: Option<Arc<HashSet<String>>>,
    /// The most levels a topic may have.
    pub(crate) max_levels: Option<usize>,
}

impl Naming {
    /// In words, where and how a topic's name breaks the rule.
    pub(crate) fn check(&self, topic: &str) -> Result<(), String> {
        let count = topic.split('/').count();
        if let Some(most) = self.max_levels.filter(|most| count > *most) {
            return Err(format!("the topic has {count} levels, and at most {most} are allowed"));
        }
        if count < self.skip + self.levels.len() {
            let missing = self.levels.get(count.saturating_sub(self.skip)).map_or("", String::as_str);
            return Err(format!("the topic has {count} levels, and the level \"{missing}\" is missing"));
        }
        if let Some((written, pattern)) = &self.pattern {
            let mut levels = topic.split('/').zip(1..).skip(self.skip);
            if let Some((name, number)) = levels.find(|(name, _)| !pattern.is_match(name)) {
                return Err(format!("{} \"{name}\" does not match {written}", self.called(number)));
            }
        }
        match &self.equipment {
            Some(known) => self.stands(topic, known),
            None => Ok(()),
        }
    }

    /// What is asked, in words.
    pub(crate) fn wishes(&self) -> Vec<String> {
        let mut wishes = Vec::new();
        if !self.levels.is_empty() {
            let behind = match self.skip {
                0 => String::new(),
                1 => " behind the first one".to_owned(),
                more => format!(" behind the first {more}"),
            };
            let known = if self.equipment.is_some() { ", which are equipment of the plant model" } else { "" };
            wishes.push(format!("the topic has the levels {}{behind}{known}", self.levels.join(", ")));
        }
        if let Some((written, _)) = &self.pattern {
            wishes.push(format!("its levels match {written}"));
        }
        if let Some(most) = self.max_levels {
            wishes.push(format!("it has at most {most} levels"));
        }
        wishes
    }

    /// The named levels are equipment; else the first level that is none.
    fn stands(&self, topic: &str, known: &HashSet<String>) -> Result<(), String> {
        let begin: usize = topic.split('/').take(self.skip).map(|level| level.len() + 1).sum();
        let Some(named) = topic.get(begin..) else { return Ok(()) };
        let ends = named.match_indices('/').map(|(at, _)| at).chain([named.len()]);
        let paths = ends.filter_map(|end| named.get(..end)).take(self.levels.len());
        for (path, number) in paths.zip(self.skip + 1..) {
            if !known.contains(path) {
                return Err(format!("{}: the plant model knows no equipment \"{path}\"", self.called(number)));
            }
        }
        Ok(())
    }

    /// `level 3 (area)`.
    fn called(&self, number: usize) -> String {
        match number.checked_sub(self.skip + 1).and_then(|at| self.levels.get(at)) {
            Some(name) => format!("level {number} ({name})"),
            None => format!("level {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(pattern: Option<&str>, equipment: &[&str]) -> Naming {
        let known: HashSet<String> = equipment.iter().map(|path| (*path).to_owned()).collect();
        Naming {
            skip: 1,
            levels: vec!["site".to_owned(), "area".to_owned()],
            pattern: pattern.map(|p| (p.to_owned(), Regex::new(&format!("^(?:{p})$")).expect("a good pattern"))),
            equipment: (!known.is_empty()).then(|| Arc::new(known)),
            max_levels: Some(5),
        }
    }

    #[test]
    fn a_breach_says_which_level_and_why() {
        let rule = naming(Some("[a-z0-9_-]+"), &["works", "works/hall"]);
        for (topic, words) in [
            ("plant/works/hall/temperature", None),
            ("Plant/works/hall", None),
            ("plant/works", Some("the topic has 2 levels, and the level \"area\" is missing")),
            ("plant/works/hall/a/b/c", Some("the topic has 6 levels, and at most 5 are allowed")),
            ("plant/works/Hall/x", Some("level 3 (area) \"Hall\" does not match [a-z0-9_-]+")),
            ("plant/works/hall/Temp", Some("level 4 \"Temp\" does not match [a-z0-9_-]+")),
            ("plant/works/hall/", Some("level 4 \"\" does not match [a-z0-9_-]+")),
            ("plant/mill/hall/x", Some("level 2 (site): the plant model knows no equipment \"mill\"")),
            ("plant/works/yard/x", Some("level 3 (area): the plant model knows no equipment \"works/yard\"")),
        ] {
            assert_eq!(rule.check(topic).err().as_deref(), words, "{topic}");
        }
    }

    #[test]
    fn without_a_pattern_or_equipment_only_the_levels_are_counted() {
        assert_eq!(naming(None, &[]).check("x/Y Z/ö"), Ok(()));
        assert!(naming(None, &[]).check("x/y").is_err());
    }
}
