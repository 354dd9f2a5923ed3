//! Declares a type of the edition as the list of its elements, in their order: `field: how often<type> = "Element"`.
//!
//! From the list come the struct, `new` with what is required (or `Default`, where nothing is), reading, writing and, for tests, the
//! list itself and a value with anything in it. Attributes stand in brackets: `[field: how often<type> = "attribute"]`.

macro_rules! sequence {
    ($(
        $(#[$about:meta])*
        pub struct $name:ident = $kind:literal {
            $( [$(#[$about_attribute:meta])* $attribute:ident: $attribute_type:ty = $attribute_name:literal] )*
            $( $(#[$about_field:meta])* $field:ident: $occurs:ident<$content:ty> = $element:literal, )*
        }
    )*) => {$(
        $(#[$about])*
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub struct $name {
            $( $(#[$about_attribute])* pub $attribute: Option<$attribute_type>, )*
            $( $(#[$about_field])* pub $field: $occurs<$content>, )*
        }

        sequence!(@new $name [] [$($attribute: None,)*] $($field: $occurs<$content>,)*);

        impl crate::content::Content for $name {
            #[cfg(test)]
            const TYPE: &'static str = $kind;

            fn read(element: &crate::tree::Element, at: &mut crate::content::At) -> Result<Self, crate::ReadError> {
                let parts = crate::content::Parts::of(element, &[$($element),*], at);
                Ok(Self {
                    $( $attribute: crate::content::attribute(element, $attribute_name, at)?, )*
                    $( $field: <$occurs<$content> as crate::content::Occurs<$content>>::take(&parts, $element, at)?, )*
                })
            }

            fn write(&self, name: &str, out: &mut crate::content::Out) {
                $( let $attribute = self.$attribute.as_ref().map(crate::content::Value::text); )*
                let attributes: [Option<(&str, &str)>; _] =
                    [$( $attribute.as_deref().map(|value| ($attribute_name, value)), )*];
                let attributes: Vec<(&str, &str)> = attributes.into_iter().flatten().collect();
                out.element(name, &attributes, |out| {
                    $( <$occurs<$content> as crate::content::Occurs<$content>>::put(&self.$field, $element, out); )*
                });
            }

            #[cfg(test)]
            fn sample(random: &mut crate::tests::Random) -> Self {
                random.within(|random| Self {
                    $( $attribute: (random.below(2) == 0).then(|| crate::content::Value::sample(random)), )*
                    $( $field: <$occurs<$content> as crate::content::Occurs<$content>>::sample(random), )*
                })
            }
        }

        #[cfg(test)]
        impl crate::tests::Listed for $name {
            fn listed() -> crate::tests::Listing {
                crate::tests::Listing {
                    name: $kind,
                    attributes: vec![$($attribute_name),*],
                    elements: vec![$( ($element, stringify!($occurs), <$content as crate::content::Content>::TYPE) ),*],
                }
            }
        }
    )*};

    // `new` takes what is required; nothing required: `Default`.
    (@new $name:ident [] [$($given:tt)*]) => {
        impl Default for $name {
            fn default() -> Self {
                Self { $($given)* }
            }
        }
    };
    (@new $name:ident [$($parameters:tt)+] [$($given:tt)*]) => {
        impl $name {
            /// With what is required, and nothing else.
            #[must_use]
            pub fn new($($parameters)+) -> Self {
                Self { $($given)* }
            }
        }
    };
    (@new $name:ident [$($parameters:tt)*] [$($given:tt)*] $field:ident: One<$content:ty>, $($rest:tt)*) => {
        sequence!(@new $name [$($parameters)* $field: $content,] [$($given)* $field,] $($rest)*);
    };
    (@new $name:ident [$($parameters:tt)*] [$($given:tt)*] $field:ident: OneOrMore<$content:ty>, $($rest:tt)*) => {
        sequence!(@new $name [$($parameters)* $field: OneOrMore<$content>,] [$($given)* $field,] $($rest)*);
    };
    (@new $name:ident [$($parameters:tt)*] [$($given:tt)*] $field:ident: $occurs:ident<$content:ty>, $($rest:tt)*) => {
        sequence!(@new $name [$($parameters)*] [$($given)* $field: $occurs::default(),] $($rest)*);
    };
}
