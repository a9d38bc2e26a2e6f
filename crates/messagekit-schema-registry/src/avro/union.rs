//! Which branch of a union a value takes.

use serde_json::Value;

use super::scalar::scalar;
use super::types::{Field, Type, Types};

/// Returns the number of the branch: the first of the value's own type, else the first that it fits. A default of a schema is a value of
/// the first that it fits.
///
/// Of a record only its fields and their own types are looked at: trying each branch as a whole would take time exponential
/// in the depth of the value.
pub(super) fn branch_of(types: &Types, branches: &[Type], value: &Value, is_default: bool) -> Option<usize> {
    let fitting = |of: &&Type| fits(types, of, value, is_default, true);
    let all = || branches.iter().map(|branch| types.resolved(branch)).enumerate();
    let own = all().find(|(_, of)| is_own(of, value) && fitting(of));
    own.filter(|_| !is_default).or_else(|| all().find(|(_, of)| fitting(of))).map(|(number, _)| number)
}

/// Returns whether values of a type are written in JSON as values of this kind and no other type is. A float is the type of a
/// number that it holds without a loss.
#[expect(clippy::cast_possible_truncation, clippy::float_cmp, reason = "a loss is looked for")]
fn is_own(of: &Type, value: &Value) -> bool {
    match value {
        Value::Null => matches!(of, Type::Null),
        Value::Bool(_) => matches!(of, Type::Boolean),
        Value::Number(number) if number.is_f64() => match of {
            Type::Float => number.as_f64().is_some_and(|number| f64::from(number as f32) == number),
            of => matches!(of, Type::Double),
        },
        Value::Number(_) => matches!(of, Type::Int | Type::Long),
        Value::String(_) => matches!(of, Type::Text),
        Value::Array(_) => matches!(of, Type::Array(_)),
        Value::Object(_) => matches!(of, Type::Record(_)),
    }
}

fn fits(types: &Types, of: &Type, value: &Value, is_default: bool, looks_inside: bool) -> bool {
    match types.resolved(of) {
        Type::Array(_) => value.is_array(),
        Type::Map(_) => value.is_object(),
        Type::Union(branches) => {
            !looks_inside || branches.iter().any(|of| fits(types, of, value, is_default, false))
        }
        Type::Record(fields) => value.as_object().is_some_and(|object| {
            let named = |name: &String| fields.iter().find(|field| field.name == *name);
            let is_known = object.iter().all(|(name, value)| {
                named(name)
                    .is_some_and(|field| !looks_inside || fits(types, &field.of, value, is_default, false))
            });
            is_known
                && fields.iter().all(|field| object.contains_key(&field.name) || is_optional(types, field))
        }),
        of => scalar(of, value, is_default).is_some(),
    }
}

/// Returns whether a field may be absent: it has a default or can be null.
pub(super) fn is_optional(types: &Types, field: &Field) -> bool {
    field.default.is_some() || null_branch(types, &field.of).is_some()
}

/// Returns the number of the branch null.
pub(super) fn null_branch(types: &Types, of: &Type) -> Option<usize> {
    let Type::Union(branches) = types.resolved(of) else { return None };
    branches.iter().position(|branch| matches!(types.resolved(branch), Type::Null))
}
