#include <libxml/xmlversion.h>
// Foundation's own ICU and the system's cannot be imported side by side; nothing here uses converters.
#undef LIBXML_ICU_ENABLED
#include <libxml/parser.h>
#include <libxml/tree.h>
