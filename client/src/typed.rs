//! Values to and from types of the application, by serde.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::reply::{Change, Entry, Item, Typed, Value};

/// The JSON text of a value, as requests take it.
///
/// ```
/// let json = larder_client::to_json(&vec![1, 2, 3])?;
/// let request = larder_client::request::Set::new("numbers", &json).if_absent();
/// # Ok::<(), larder_client::Error>(())
/// ```
///
/// # Errors
/// [`Error::Encode`] if JSON cannot express it, as with a map whose keys are not texts.
pub fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Encode(Arc::new(error)))
}

fn from_json<T: DeserializeOwned>(json: &str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|error| Error::Decode(Arc::new(error)))
}

impl Value {
    /// The value as a type of the application.
    ///
    /// # Errors
    /// [`Error::Decode`] if it is not of this type.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, Error> {
        from_json(&self.json)
    }

    pub(crate) fn typed<T: DeserializeOwned>(self) -> Result<Typed<T>, Error> {
        Ok(Typed { value: self.to()?, version: self.version, expires_ms: self.expires_ms })
    }
}

impl Entry {
    /// The value as a type of the application.
    ///
    /// # Errors
    /// [`Error::Decode`] if it is not of this type.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, Error> {
        from_json(&self.json)
    }
}

impl Item {
    /// The value as a type of the application; `None` where values were not asked for.
    ///
    /// # Errors
    /// [`Error::Decode`] if it is not of this type.
    pub fn to<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        self.json.as_deref().map(from_json).transpose()
    }
}

impl Change {
    /// The value as a type of the application; `None` where values were not asked for, and of what is gone.
    ///
    /// # Errors
    /// [`Error::Decode`] if it is not of this type.
    pub fn to<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        self.json.as_deref().map(from_json).transpose()
    }
}
