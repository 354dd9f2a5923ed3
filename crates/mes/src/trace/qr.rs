//! QR codes for screens, as SVG. The one module that knows the crate that draws them.

use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};

/// More than any QR code holds.
const BYTES_MAX: usize = 2_331;

/// Why there is no such code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{bytes} bytes are more than a QR code that can be read with a stain on it holds ({BYTES_MAX})")]
pub struct QrError {
    /// How many there are.
    pub bytes: usize,
}

/// A QR code (ISO/IEC 18004, error correction M: 15 % may be unreadable) of a text, as an SVG document that is at least so many pixels
/// wide, with the quiet zone around it. The text itself does not stand in the document.
///
/// # Errors
/// The text is too long.
pub fn svg(text: &str, pixels: u16) -> Result<String, QrError> {
    let long = QrError { bytes: text.len() };
    if text.len() > BYTES_MAX {
        return Err(long);
    }
    let code = QrCode::with_error_correction_level(text, EcLevel::M).map_err(|_| long)?;
    let pixels = u32::from(pixels.max(1));
    Ok(code
        .render::<svg::Color<'_>>()
        .min_dimensions(pixels, pixels)
        .dark_color(svg::Color("#000"))
        .light_color(svg::Color("#fff"))
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_document_without_its_text() {
        let svg = svg("https://id.example/01/09506000134352/21/<script>", 200).unwrap();
        assert!(svg.starts_with("<?xml") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(!svg.contains("script") && svg.len() < 20_000, "{}", svg.len());
    }

    #[test]
    fn the_longest_text_has_a_code_and_a_longer_one_has_none() {
        assert!(svg(&"é".repeat(BYTES_MAX / 2), 1).is_ok());
        assert_eq!(svg(&"e".repeat(BYTES_MAX + 1), 1), Err(QrError { bytes: BYTES_MAX + 1 }));
    }
}
