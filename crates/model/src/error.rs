//! Errors as people read them.

/// An error with what lies beneath it: `could not write x: no space left on device`.
#[must_use]
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not write the file")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn every_cause_is_told_once_from_the_outside_in() {
        let outer = Outer(std::io::Error::other("the disk is full"));
        assert_eq!(causes(&outer), "could not write the file: the disk is full");
    }
}
