//! What is to be done with the things of a message, or was done (ISA-95 part 5; `B2MML-Common.xsd`, `Trans…Type`).

use crate::area::ApplicationArea;
use crate::code::{ActionCode, ResponseCode};
use crate::content::{At, Content, Out};
use crate::error::{Problem, ReadError};
#[cfg(test)]
use crate::tests::Random;
use crate::time::DateTime;
use crate::tree::Element;
use crate::word::{Code, Identifier, Text};

/// A verb with what belongs to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verb {
    /// The things are asked for.
    Get(Get),
    /// The answer to Get.
    Show(Show),
    /// The things are to be taken over.
    Process(Process),
    /// The answer to Process: what became of them.
    Acknowledge(Acknowledge),
    /// The things have changed, and the receiver is to follow.
    Change(Change),
    /// The answer to Change.
    Respond(Respond),
    /// The things are taken back.
    Cancel(Cancel),
    /// The things are published as they are; the action code says whether they were added, changed or deleted.
    Sync(Sync),
}

impl Verb {
    /// The name of its element, with which the name of the message begins.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Get(_) => "Get",
            Self::Show(_) => "Show",
            Self::Process(_) => "Process",
            Self::Acknowledge(_) => "Acknowledge",
            Self::Change(_) => "Change",
            Self::Respond(_) => "Respond",
            Self::Cancel(_) => "Cancel",
            Self::Sync(_) => "Sync",
        }
    }

    /// The names of all.
    pub(crate) const NAMES: [&'static str; 8] =
        ["Get", "Show", "Process", "Acknowledge", "Change", "Respond", "Cancel", "Sync"];

    /// Reads the one of that name.
    pub(crate) fn read(name: &'static str, parts: &crate::content::Parts<'_>, at: &mut At) -> Result<Self, ReadError> {
        Ok(match name {
            "Get" => Self::Get(parts.one(name, at)?),
            "Show" => Self::Show(parts.one(name, at)?),
            "Process" => Self::Process(parts.one(name, at)?),
            "Acknowledge" => Self::Acknowledge(parts.one(name, at)?),
            "Change" => Self::Change(parts.one(name, at)?),
            "Respond" => Self::Respond(parts.one(name, at)?),
            "Cancel" => Self::Cancel(parts.one(name, at)?),
            _ => Self::Sync(parts.one(name, at)?),
        })
    }

    pub(crate) fn write(&self, out: &mut Out) {
        match self {
            Self::Get(verb) => verb.write(self.name(), out),
            Self::Show(verb) => verb.write(self.name(), out),
            Self::Process(verb) => verb.write(self.name(), out),
            Self::Acknowledge(verb) => verb.write(self.name(), out),
            Self::Change(verb) => verb.write(self.name(), out),
            Self::Respond(verb) => verb.write(self.name(), out),
            Self::Cancel(verb) => verb.write(self.name(), out),
            Self::Sync(verb) => verb.write(self.name(), out),
        }
    }

    #[cfg(test)]
    pub(crate) fn sample(random: &mut Random) -> Self {
        match random.below(8) {
            0 => Self::Get(Content::sample(random)),
            1 => Self::Show(Content::sample(random)),
            2 => Self::Process(Content::sample(random)),
            3 => Self::Acknowledge(Content::sample(random)),
            4 => Self::Change(Content::sample(random)),
            5 => Self::Respond(Content::sample(random)),
            6 => Self::Cancel(Content::sample(random)),
            _ => Self::Sync(Content::sample(random)),
        }
    }
}

sequence! {
    /// Get.
    pub struct Get = "TransGetType" {
        /// What is asked for, in words that both sides agreed upon.
        expressions: Vec<Identifier> = "Expression",
    }

    /// Show.
    pub struct Show = "TransShowType" {
        /// The head of the message that is answered.
        original_application_area: Option<ApplicationArea> = "OriginalApplicationArea",
        /// What became of it.
        response_criteria: Vec<ResponseCriteria> = "ResponseCriteria",
    }

    /// Acknowledge.
    pub struct Acknowledge = "TransAcknowledgeType" {
        /// The head of the message that is answered.
        original_application_area: Option<ApplicationArea> = "OriginalApplicationArea",
        /// What became of it.
        response_criteria: Vec<ResponseCriteria> = "ResponseCriteria",
    }

    /// Respond.
    pub struct Respond = "TransRespondType" {
        /// The head of the message that is answered.
        original_application_area: Option<ApplicationArea> = "OriginalApplicationArea",
        /// What became of it.
        response_criteria: Vec<ResponseCriteria> = "ResponseCriteria",
    }

    /// Confirm, the verb of `ConfirmBOD`.
    pub struct Confirm = "TransConfirmType" {
        /// The head of the message that is confirmed.
        original_application_area: Option<ApplicationArea> = "OriginalApplicationArea",
        /// What became of it.
        response_criteria: Vec<ResponseCriteria> = "ResponseCriteria",
    }

    /// Process.
    pub struct Process = "TransProcessType" {
        [/// When an Acknowledge is wanted; left out: it was not asked for.
        acknowledge_code: ResponseCode = "acknowledgeCode"]
        /// What is to be done.
        action_criteria: Vec<ActionCriteria> = "ActionCriteria",
    }

    /// Change.
    pub struct Change = "TransChangeType" {
        [/// When a Respond is wanted; left out: it was not asked for.
        response_code: ResponseCode = "responseCode"]
        /// What is to be done.
        action_criteria: Vec<ActionCriteria> = "ActionCriteria",
    }

    /// Cancel.
    pub struct Cancel = "TransCancelType" {
        /// What is to be done.
        action_criteria: Vec<ActionCriteria> = "ActionCriteria",
    }

    /// Sync.
    pub struct Sync = "TransSyncType" {
        /// What was done.
        action_criteria: Vec<ActionCriteria> = "ActionCriteria",
    }

    /// What is to be done with which of the things.
    pub struct ActionCriteria = "TransActionCriteriaType" {
        /// The actions.
        action_expressions: Vec<Expression> = "ActionExpression",
        /// Why.
        change_status: Option<ChangeStatus> = "ChangeStatus",
    }

    /// What was done with which of the things.
    pub struct ResponseCriteria = "TransResponseCriteriaType" {
        /// The action.
        response_expression: Option<Expression> = "ResponseExpression",
        /// Why.
        change_status: Option<ChangeStatus> = "ChangeStatus",
    }

    /// Why something is to change or has changed.
    pub struct ChangeStatus = "TransChangeStatusType" {
        /// The new status.
        code: Option<Code> = "Code",
        /// For people.
        description: Vec<Text> = "Description",
        /// From when on.
        effective_date_time: Option<DateTime> = "EffectiveDateTime",
        /// The reason, from a list.
        reason_code: Option<Code> = "ReasonCode",
        /// The reasons.
        reasons: Vec<Code> = "Reason",
    }
}

/// An action, and an expression for the things that it is about (`TransExpressionType`); what language that is, both sides agree upon.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expression {
    /// The action.
    pub action: ActionCode,
    /// Which things; none: all of the message.
    pub about: Option<Identifier>,
}

impl Content for Expression {
    #[cfg(test)]
    const TYPE: &'static str = "TransExpressionType";

    fn read(element: &Element, at: &mut At) -> Result<Self, ReadError> {
        at.leave_out(element, &[]);
        let action = crate::content::attribute(element, "actionCode", at)?;
        let text = Some(&element.text).filter(|text| !text.trim().is_empty());
        Ok(Self {
            action: action.ok_or_else(|| at.error(Problem::MissingAttribute("actionCode")))?,
            about: text.map(|text| Identifier::new(text)).transpose().map_err(|wrong| at.error(wrong))?,
        })
    }

    fn write(&self, name: &str, out: &mut Out) {
        let action = crate::content::Value::text(&self.action);
        out.text(name, &[("actionCode", &action)], self.about.as_ref().map_or("", Identifier::as_str));
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> Self {
        let about = (random.below(2) == 0).then(|| Content::sample(random));
        Self { action: crate::content::Value::sample(random), about }
    }
}
