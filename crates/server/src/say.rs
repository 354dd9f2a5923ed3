//! Lines for whoever reads the program's output. When nobody does any more (a pipe that was closed, a full disk behind it), the
//! program goes on without: `println!` would end it.

/// A line on standard output.
macro_rules! say {
    ($($words:tt)*) => {
        $crate::say::line(std::io::stdout(), format_args!($($words)*))
    };
}

/// A line on standard error.
macro_rules! complain {
    ($($words:tt)*) => {
        $crate::say::line(std::io::stderr(), format_args!($($words)*))
    };
}

pub(crate) use {complain, say};

/// Writes a line in one piece, if somebody reads it.
pub(crate) fn line(mut to: impl std::io::Write, words: std::fmt::Arguments<'_>) {
    let _ = to.write_all(format!("{words}\n").as_bytes()).and_then(|()| to.flush());
}

/// Writes an answer. A reader who has seen enough (`| head`) is no error; a full disk is.
/// # Errors
/// Standard output cannot be written.
pub(crate) fn all(text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
