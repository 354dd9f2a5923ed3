//! Where tools stand in their lives: what the shop floor comes to while they were mounted.

use super::Manufacturing;
use andon_mes::master::{Life, Tool};
use andon_mes::order::begin::Warning;
use andon_mes::quantity::Quantity;
use andon_mes::tool::{Standing, State, Used, stand, words};
use andon_mes::wear::Wear;
use andon_store::StoreError;
use andon_store::tools::{ToolLife, ToolRepository};
use std::num::NonZeroU32;

/// A tool in its present life.
pub(crate) struct ToolStands {
    /// Its name.
    pub(crate) name: String,
    /// As the documents have it; `None`: it was taken out of them.
    pub(crate) tool: Option<Tool>,
    /// What is kept of it.
    pub(crate) life: ToolLife,
    /// What is used of it.
    pub(crate) used: Used,
    /// What it is in.
    pub(crate) standing: Standing,
    /// What it did somewhere cannot be told, in words.
    pub(crate) unread: Option<String>,
    /// No less is used of its life than it seems: see [`Manufacturing::times_are_known`].
    pub(crate) is_sure: bool,
}

impl Manufacturing {
    /// Where tools stand now, in their order.
    /// # Errors
    /// The records cannot be read.
    pub(crate) async fn tools_stand(&self, names: Vec<String>) -> Result<Vec<ToolStands>, StoreError> {
        let lives = self.store.tool_lives(names.clone()).await?;
        let mut all = Vec::with_capacity(names.len());
        for (name, life) in names.into_iter().zip(lives) {
            // A turn for each, so that many tools hold up nobody.
            let _turn = self.turn.read().await;
            all.push(self.tool_stands(name, life).await);
        }
        Ok(all)
    }

    /// What should be known of the tools at a machine when a job begins there. In turn.
    pub(crate) async fn tools_at_end(&self, machine: &str) -> Vec<Warning> {
        let looked = async {
            let mounted = self.store.tool_mounted(machine).await?;
            let names: Vec<String> = mounted.into_iter().map(|span| span.tool).collect();
            Ok::<_, StoreError>(names.clone().into_iter().zip(self.store.tool_lives(names).await?))
        };
        let lives = match looked.await {
            Ok(lives) => lives,
            Err(error) => {
                // A remark is no reason to keep a job from its begin.
                tracing::warn!(%error, machine, "it cannot be looked which tools are at their end");
                return Vec::new();
            }
        };
        let mut warnings = Vec::new();
        for (name, life) in lives {
            let stands = self.tool_stands(name, life).await;
            if stands.standing.state != State::End || !stands.is_sure {
                continue;
            }
            if let Some(life) = stands.tool.as_ref().and_then(|tool| tool.life) {
                warnings.push(Warning::ToolAtEnd { tool: stands.name, used: words(life, &stands.used) });
            }
        }
        warnings
    }

    /// In turn.
    async fn tool_stands(&self, name: String, life: ToolLife) -> ToolStands {
        let tool = self.state().master.tools.get(&name).cloned();
        let is_by_time = matches!(tool.as_ref().and_then(|tool| tool.life), Some(Life::RunTime(_)));
        // Asked before: what is read meanwhile is in what is used, or the answer is no.
        let is_sure = !is_by_time || self.times_are_known();
        let (wear, mut unread) = self.wear_of(&life).await;
        if tool.is_none() {
            unread.get_or_insert("it is not in the documents: its cycles are told for one cavity".to_owned());
        }
        let besides = Used { cycles: Quantity::from_millionths(life.cycles), run_time_us: life.run_time };
        if !is_sure {
            unread.get_or_insert("since the node started no machine has spoken: it may have run for less".to_owned());
        }
        let cavities = tool.as_ref().map_or(NonZeroU32::MIN, |tool| tool.cavities);
        let used = Used::of(&wear, cavities, besides);
        let without = Standing { state: State::NoLife, share: None, reached: None };
        let standing = tool.as_ref().map_or(without, |tool| stand(tool, &used));
        ToolStands { name, tool, life, used, standing, unread, is_sure }
    }

    /// What machines did while a tool was mounted there in its present life, as far as it can be told. In turn.
    async fn wear_of(&self, life: &ToolLife) -> (Wear, Option<String>) {
        let now = self.clock.now();
        let (mut wear, mut unread) = (Wear::default(), None);
        for span in &life.spans {
            let from = life.since.map_or(span.from, |since| since.max(span.from));
            let to = span.to.map_or(now, |to| to.min(now));
            if to <= from {
                continue;
            }
            let key = (span.machine.clone(), from, to);
            if let Some(more) = self.worn.of(&key) {
                wear += more;
                continue;
            }
            let is_kept = to <= self.state().follower.floor().kept_until();
            match self.wear_at(&span.machine, from, to).await {
                Ok(Some(more)) => {
                    wear += more;
                    if is_kept {
                        self.worn.remember(key, more);
                    }
                }
                Ok(None) => {
                    unread = Some(
                        "what it did in one of its mountings is not known: no machine was followed there".to_owned(),
                    )
                }
                Err(error) => unread = Some(format!("what it did in one of its mountings cannot be read: {error}")),
            }
        }
        (wear, unread)
    }
}
