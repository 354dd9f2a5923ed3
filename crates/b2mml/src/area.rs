//! Who sent a message, when, under which id, and whether they want to hear of it (`TransApplicationAreaType`).

use crate::code::ConfirmationCode;
use crate::content::One;
use crate::time::DateTime;
use crate::word::Identifier;

sequence! {
    /// The head of a message.
    pub struct ApplicationArea = "TransApplicationAreaType" {
        /// Who sent it.
        sender: Option<Sender> = "Sender",
        /// Whom it is for.
        receivers: Vec<Receiver> = "Receiver",
        /// When it was made.
        creation_date_time: One<DateTime> = "CreationDateTime",
        /// The id of the message: the same id is the same message.
        bod_id: Option<Identifier> = "BODID",
    }

    /// Who sent a message.
    pub struct Sender = "TransSenderType" {
        /// The system.
        logical_id: Option<Identifier> = "LogicalID",
        /// The part of the system.
        component_id: Option<Identifier> = "ComponentID",
        /// What it was doing.
        task_id: Option<Identifier> = "TaskID",
        /// What an answer should name.
        reference_id: Option<Identifier> = "ReferenceID",
        /// When a `ConfirmBOD` is wanted.
        confirmation_code: Option<ConfirmationCode> = "ConfirmationCode",
        /// Who let it be sent.
        authorization_id: Option<Identifier> = "AuthorizationID",
    }

    /// Whom a message is for.
    pub struct Receiver = "TransReceiverType" {
        /// The system.
        logical_id: Option<Identifier> = "LogicalID",
        /// The part of the system.
        component_id: Option<Identifier> = "ComponentID",
        /// Further ids.
        ids: Vec<Identifier> = "ID",
    }
}

impl ApplicationArea {
    /// Whether the sender wants a `ConfirmBOD` about what became of the message; without a code none is wanted.
    #[must_use]
    pub fn wants_confirmation(&self, failed: bool) -> bool {
        match self.sender.as_ref().and_then(|sender| sender.confirmation_code) {
            Some(ConfirmationCode::Always) => true,
            Some(ConfirmationCode::OnError) => failed,
            Some(ConfirmationCode::Never) | None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_sent_to_those_who_want_one() {
        let wants = |code| {
            let mut area = ApplicationArea::new(DateTime::parse("2026-11-27T06:00:00Z").unwrap());
            area.sender = Some(Sender { confirmation_code: code, ..Sender::default() });
            (area.wants_confirmation(false), area.wants_confirmation(true))
        };
        assert_eq!(wants(Some(ConfirmationCode::Always)), (true, true));
        assert_eq!(wants(Some(ConfirmationCode::OnError)), (false, true));
        assert_eq!(wants(Some(ConfirmationCode::Never)), (false, false));
        assert_eq!(wants(None), (false, false));
    }
}
