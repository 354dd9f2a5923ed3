//! Properties as a list of numbers and values, and our sets made of it.

use andon_wire::mqtt::*;
use bytes::Bytes;

/// A property's value.
#[derive(Clone, Debug)]
pub(crate) enum Value<'a> {
    Number(u32),
    Text(&'a str),
    Blob(&'a [u8]),
    Pair(&'a str, &'a str),
}

/// Properties in their order.
pub(crate) type List<'a> = Vec<(u8, Value<'a>)>;

/// A value as a field of ours; `None`: ours cannot hold it.
pub(crate) trait Field: Sized {
    fn of(value: &Value<'_>) -> Option<Self>;
}

impl Field for bool {
    fn of(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Number(0) => Some(false),
            Value::Number(1) => Some(true),
            _ => None,
        }
    }
}

impl Field for u16 {
    fn of(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Number(number) => Self::try_from(*number).ok(),
            _ => None,
        }
    }
}

impl Field for u32 {
    fn of(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }
}

impl Field for Text {
    fn of(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Text(text) => Self::parse(text).ok(),
            _ => None,
        }
    }
}

impl Field for TopicName {
    fn of(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Text(text) => Self::parse(text).ok(),
            _ => None,
        }
    }
}

impl Field for Bytes {
    fn of(value: &Value<'_>) -> Option<Self> {
        match value {
            Value::Blob(bytes) => Some(Self::copy_from_slice(bytes)),
            _ => None,
        }
    }
}

/// A set of ours made of a list; `Err`: which property ours cannot hold, or holds once only.
pub(crate) trait FromList: Sized {
    fn from_list(list: &List<'_>) -> Result<Self, &'static str>;
}

macro_rules! sets {
    ($($set:ident { $($field:ident = $id:literal),* } $(ids $ids:ident)?;)*) => {$(
        impl FromList for $set {
            fn from_list(list: &List<'_>) -> Result<Self, &'static str> {
                let mut set = Self::default();
                for (id, value) in list {
                    match (*id, value) {
                        $(($id, value) => {
                            let value = Field::of(value).ok_or(stringify!($field))?;
                            if set.$field.replace(value).is_some() {
                                return Err(stringify!($field));
                            }
                        })*
                        (0x26, Value::Pair(name, value)) => {
                            let pair = (Text::parse(name).ok(), Text::parse(value).ok());
                            let (Some(name), Some(value)) = pair else { return Err("user property") };
                            set.user.push((name, value));
                        }
                        $((0x0B, Value::Number(id)) => set.$ids.push(*id),)?
                        _ => return Err("a property of other packets"),
                    }
                }
                Ok(set)
            }
        }
    )*};
}

sets! {
    ConnectProperties {
        session_expiry_s = 0x11, receive_maximum = 0x21, maximum_packet_size = 0x27, topic_alias_maximum = 0x22,
        request_response_information = 0x19, request_problem_information = 0x17, authentication_method = 0x15,
        authentication_data = 0x16
    };
    WillProperties {
        delay_s = 0x18, payload_format = 0x01, message_expiry_s = 0x02, content_type = 0x03, response_topic = 0x08,
        correlation_data = 0x09
    };
    ConnAckProperties {
        session_expiry_s = 0x11, receive_maximum = 0x21, maximum_qos = 0x24, retain_available = 0x25,
        maximum_packet_size = 0x27, assigned_client_id = 0x12, topic_alias_maximum = 0x22, reason_string = 0x1F,
        wildcard_subscription_available = 0x28, subscription_identifiers_available = 0x29,
        shared_subscription_available = 0x2A, server_keep_alive_s = 0x13, response_information = 0x1A,
        server_reference = 0x1C, authentication_method = 0x15, authentication_data = 0x16
    };
    PublishProperties {
        payload_format = 0x01, message_expiry_s = 0x02, topic_alias = 0x23, response_topic = 0x08,
        correlation_data = 0x09, content_type = 0x03
    } ids subscription_ids;
    AckProperties { reason_string = 0x1F };
    SubscribeProperties {} ids subscription_id;
    UnsubscribeProperties {};
    DisconnectProperties { session_expiry_s = 0x11, reason_string = 0x1F, server_reference = 0x1C };
    AuthProperties { authentication_method = 0x15, authentication_data = 0x16, reason_string = 0x1F };
}
