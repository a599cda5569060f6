#include "commands.h"
#include "platform.h"

int main(int count, char **arguments)
{
    cli_platform_begin(&count, &arguments);
    return cli_main(count, arguments);
}
