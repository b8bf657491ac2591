//! Conditions: whether a rule is meant for a file.
//!
//! Not here: how they are written in a rules file (`rule::read`, `rule::print`, `upstream`).
//! Must always hold: evaluation is pure, linear in the condition and the value, and never fails.

use super::field::{FieldId, Scope, Value};
use super::filter::Pattern;

/// A condition or several of them.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// All hold; also when there are none.
    All(Vec<Condition>),
    /// At least one holds.
    Any(Vec<Condition>),
    /// None holds.
    None(Vec<Condition>),
    /// A test of one field.
    Test(FieldId, Test),
}

/// A test of one field. Of a field with several items, one is enough.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// The field is there.
    Present,
    /// The field is not there.
    Absent,
    /// It equals one of these.
    OneOf(Vec<Scalar>),
    /// It equals none of these; also when it is absent.
    Not(Vec<Scalar>),
    /// It contains the text.
    Contains(String),
    /// The regular expression is found in it.
    Matches(Pattern),
    /// It is smaller or greater: numbers by value, texts (dates) by their characters.
    Compare(Order, Scalar),
}

/// A constant of a condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// Text, compared as it is.
    Text(String),
    /// A number: `1` equals `01`.
    Number(f64),
    /// `true` equals the text `true`; `false` also equals an absent field.
    Bool(bool),
}

/// An order relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Less than.
    Lt,
    /// Less than or equal.
    Le,
    /// Greater than.
    Gt,
    /// Greater than or equal.
    Ge,
}

impl Order {
    /// All relations and their keys in a rules file.
    pub const KEYS: [(&str, Order); 4] =
        [("lt", Order::Lt), ("le", Order::Le), ("gt", Order::Gt), ("ge", Order::Ge)];

    /// Its key in a rules file.
    pub fn key(self) -> &'static str {
        Self::KEYS.iter().find(|(_, order)| *order == self).map_or("ge", |(key, _)| key)
    }

    fn holds(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Order::Lt => ordering.is_lt(),
            Order::Le => ordering.is_le(),
            Order::Gt => ordering.is_gt(),
            Order::Ge => ordering.is_ge(),
        }
    }
}

impl Condition {
    /// The condition that always holds.
    pub const ALWAYS: Condition = Condition::All(Vec::new());

    /// Whether the condition holds for a file.
    pub fn holds(&self, scope: &Scope<'_>) -> bool {
        match self {
            Condition::All(inner) => inner.iter().all(|c| c.holds(scope)),
            Condition::Any(inner) => inner.iter().any(|c| c.holds(scope)),
            Condition::None(inner) => !inner.iter().any(|c| c.holds(scope)),
            Condition::Test(field, test) => test.holds(scope.value(*field)),
        }
    }

    /// The first condition that does not hold, for explanations.
    pub fn refusal(&self, scope: &Scope<'_>) -> Option<&Condition> {
        match self {
            Condition::All(inner) => inner.iter().find_map(|c| c.refusal(scope)),
            Condition::Any(_) | Condition::None(_) | Condition::Test(..) => {
                (!self.holds(scope)).then_some(self)
            }
        }
    }

    /// Every field that the condition looks at, in order of appearance.
    pub fn fields(&self) -> Vec<FieldId> {
        match self {
            Condition::All(inner) | Condition::Any(inner) | Condition::None(inner) => {
                inner.iter().flat_map(Condition::fields).collect()
            }
            Condition::Test(field, _) => vec![*field],
        }
    }

    /// Conjunctions inside a conjunction are one, and a conjunction of one condition is that condition: equal meaning
    /// gets equal form.
    pub fn all(conditions: Vec<Condition>) -> Condition {
        let mut flat = Vec::with_capacity(conditions.len());
        for condition in conditions {
            match condition {
                Condition::All(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 { flat.remove(0) } else { Condition::All(flat) }
    }
}

impl Test {
    fn holds(&self, value: Option<&Value<'_>>) -> bool {
        match (self, value) {
            (Test::Present, value) => value.is_some(),
            (Test::Absent, value) => value.is_none(),
            (Test::OneOf(wanted), None) => wanted.contains(&Scalar::Bool(false)),
            (Test::Not(unwanted), None) => !unwanted.contains(&Scalar::Bool(false)),
            (Test::Contains(_) | Test::Matches(_) | Test::Compare(..), None) => false,
            (Test::OneOf(wanted), Some(value)) => any(value, |item| wanted.iter().any(|w| w.equals(item))),
            (Test::Not(unwanted), Some(value)) => !any(value, |item| unwanted.iter().any(|w| w.equals(item))),
            (Test::Contains(text), Some(value)) => any(value, |item| item.contains(text.as_str())),
            (Test::Matches(pattern), Some(value)) => any(value, |item| pattern.matches(item)),
            (Test::Compare(order, bound), Some(value)) => any(value, |item| bound.is_on(*order, item)),
        }
    }
}

/// Whether one item of a value passes.
fn any(value: &Value<'_>, mut passes: impl FnMut(&str) -> bool) -> bool {
    match value {
        Value::Text(text) => passes(text),
        Value::Number(n) => passes(&n.to_string()),
        Value::Numbers(all) => all.iter().any(|n| passes(&n.to_string())),
        Value::List(all) => all.iter().any(|item| passes(item)),
    }
}

impl Scalar {
    fn equals(&self, item: &str) -> bool {
        match self {
            Scalar::Text(text) => text == item,
            Scalar::Number(number) => item.trim().parse::<f64>().is_ok_and(|item| item == *number),
            Scalar::Bool(wanted) => item == if *wanted { "true" } else { "false" },
        }
    }

    /// Whether `item` stands in the given relation to this bound.
    fn is_on(&self, order: Order, item: &str) -> bool {
        let ordering = match self {
            Scalar::Number(bound) => item.trim().parse::<f64>().ok().and_then(|item| item.partial_cmp(bound)),
            Scalar::Text(bound) => Some(item.cmp(bound.as_str())),
            Scalar::Bool(_) => None,
        };
        ordering.is_some_and(|ordering| order.holds(ordering))
    }
}
