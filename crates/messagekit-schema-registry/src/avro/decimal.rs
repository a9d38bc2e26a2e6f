//! Decimal numbers as texts.

use num_bigint::{BigInt, Sign};

use super::bounds::MAX_DECIMAL;
use super::fault::{Fault, fault};
use super::types::Decimal;

/// Returns a number by its bytes, big-endian in two's complement, and the digits after its point.
pub(super) fn read(bytes: &[u8], scale: i64) -> Result<String, Fault> {
    let too_large = || fault(format!("decimal has more than {MAX_DECIMAL} bytes or digits after its point"));
    let scale = usize::try_from(scale).map_err(|_| fault("decimal has a negative scale"))?;
    if bytes.len() > MAX_DECIMAL || scale > MAX_DECIMAL {
        return Err(too_large());
    }
    let number = BigInt::from_signed_bytes_be(bytes);
    let sign = if number.sign() == Sign::Minus { "-" } else { "" };
    let digits = number.magnitude().to_string();
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    Ok(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

/// Reads a text like `-12.50`; returns its digits without the point, and how many are after it.
fn unscaled(text: &str) -> Option<(BigInt, usize)> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_sound = !whole.is_empty() && is_number(whole) && is_number(fraction);
    if !is_sound || digits.ends_with('.') || text.len() > MAX_DECIMAL {
        return None;
    }
    let number: BigInt = format!("{whole}{fraction}").parse().ok()?;
    Some((if text.starts_with('-') { -number } else { number }, fraction.len()))
}

/// Returns the bytes of a number that a text holds; `None` if it is no number, or has more digits than the schema.
pub(super) fn write(text: &str, of: Decimal) -> Option<Vec<u8>> {
    let (mut number, scale) = unscaled(text)?;
    let ten = BigInt::from(10);
    if scale > of.scale {
        let excess = ten.pow(u32::try_from(scale - of.scale).ok()?);
        if &number % &excess != BigInt::ZERO {
            return None;
        }
        number /= excess;
    } else {
        number *= ten.pow(u32::try_from(of.scale - scale).ok()?);
    }
    if number.magnitude().to_string().len() > of.precision {
        return None;
    }
    let bytes = number.to_signed_bytes_be();
    let Some(size) = of.size else { return Some(bytes) };
    let fill = if number.sign() == Sign::Minus { 0xFF } else { 0 };
    let mut fixed = vec![fill; size.checked_sub(bytes.len())?];
    fixed.extend_from_slice(&bytes);
    Some(fixed)
}

/// Returns the bytes of a number with its own scale.
pub(super) fn write_with_scale(text: &str) -> Option<(Vec<u8>, i64)> {
    let (number, scale) = unscaled(text)?;
    Some((number.to_signed_bytes_be(), i64::try_from(scale).ok()?))
}
