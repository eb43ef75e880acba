//! The description of an entry, be it in a body, an option or a header: too long a one breaks a rule, and no limit on bodies.

use larder_protocol::Code;

use super::envelope::broken;
use super::problem::Problem;

/// Checks a description, if there is one.
pub(crate) fn check(description: Option<&str>, chars_max: usize) -> Result<(), Problem> {
    if description.is_some_and(|text| text.chars().count() > chars_max) {
        return Err(broken(Code::TooBig, format!("description must have at most {chars_max} characters")));
    }
    Ok(())
}
