//! The one table: which role may do which action; a grant holds for a branch and everything below it.

use andon_model::access::{Action, Denied, Grant, Role};
use andon_model::path::is_under;

/// The least role that may do `action`.
#[must_use]
pub const fn needed(action: Action) -> Role {
    match action {
        Action::View | Action::Subscribe => Role::Viewer,
        Action::Acknowledge | Action::Operate | Action::Publish => Role::Operator,
        Action::Configure => Role::Engineer,
        Action::Administer => Role::Administrator,
    }
}

/// May somebody with these grants do `action` on `branch` (empty: the whole node)?
/// # Errors
/// [`Denied`] with the role that would be needed there.
pub fn authorise(grants: &[Grant], action: Action, branch: &str) -> Result<(), Denied> {
    let needed = needed(action);
    let allowed = grants.iter().any(|grant| grant.role >= needed && is_under(branch, &grant.branch));
    if allowed { Ok(()) } else { Err(Denied { action, branch: branch.to_owned(), needed }) }
}

/// May somebody with these grants see anything at all? Used where a list is filtered branch by branch afterwards.
#[must_use]
pub fn sees_something(grants: &[Grant]) -> bool {
    !grants.is_empty()
}

/// The word for a role at home.
#[must_use]
pub const fn home_word(role: Role) -> &'static str {
    match role {
        Role::Viewer => "guest",
        Role::Operator => "resident",
        Role::Engineer => "installer",
        Role::Administrator => "owner",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTIONS: [Action; 7] = [
        Action::View,
        Action::Subscribe,
        Action::Acknowledge,
        Action::Operate,
        Action::Publish,
        Action::Configure,
        Action::Administer,
    ];

    #[test]
    fn the_whole_table() {
        let row = |role| {
            ACTIONS.map(|action| {
                let grants = [Grant { role, branch: String::new() }];
                if authorise(&grants, action, "a/b").is_ok() { '+' } else { '.' }
            })
        };
        let text = |role| row(role).iter().collect::<String>();
        assert_eq!(text(Role::Viewer), "++.....");
        assert_eq!(text(Role::Operator), "+++++..");
        assert_eq!(text(Role::Engineer), "++++++.");
        assert_eq!(text(Role::Administrator), "+++++++");
    }

    #[test]
    fn a_grant_ends_at_its_branch() {
        let grants = [Grant { role: Role::Operator, branch: "works/line1".into() }];
        assert!(authorise(&grants, Action::Operate, "works/line1/filler/speed").is_ok());
        assert!(authorise(&grants, Action::Operate, "works/line10/filler").is_err());
        assert!(authorise(&grants, Action::Operate, "works").is_err());
        assert!(authorise(&grants, Action::Operate, "").is_err());
        assert!(authorise(&[], Action::View, "works").is_err());
    }
}
